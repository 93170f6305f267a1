"""What is wrong with an annotation file as COCO has it: entries, categories, boxes, masks."""

from collections import Counter, defaultdict

import numpy as np

from lib.datasets import (
    EMPTY,
    OUTSIDE,
    SHORT,
    STRAY,
    Finding,
    finite,
    flaw_findings,
    instance_findings,
)
from mmbackbones.weights.errors import brief, some

KEYS = {  # without which mmdet does not read an entry of a COCO file
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id'),
    'categories': ('id', 'name'),
}


def coco_findings(opened):
    """What a COCO file has that mmdet cannot read, or that it leaves out or numbers otherwise."""
    dataset, coco, error = opened.dataset, opened.coco, opened.error
    path, content = dataset.ann_file, coco.dataset if coco else {}
    if not coco and isinstance(error, ValueError | RecursionError):
        yield Finding(f'{path} is no JSON ({brief(error)}); expected annotations as COCO has')
        return
    lists = [name for name in KEYS if isinstance(content.get(name), list)]
    panoptic = not dataset.ANN_ID_UNIQUE  # whose annotations are maps of segments
    absent = [name for name in ('images', 'categories') if name not in lists or not content[name]]
    if absent:
        yield Finding(
            f'{path} has no {" and no ".join(absent)}, but {some(content) or "other content"}; '
            f'expected {", ".join(KEYS)} as COCO has'
        )
        return
    if error:
        mine = [name for name in lists if name != 'annotations' or not panoptic]
        yield from lacking_keys({name: content[name] for name in mine}, path)
    if not coco.imgs:  # not even indexed
        return
    yield from repeated_findings(dataset, coco)
    yield from category_findings(opened)
    yield from (instance_findings if panoptic else annotation_findings)(opened)
    if not error and not dataset.data_list:
        yield Finding(
            f'{path}: none of {len(coco.imgs)} images is left for {opened.loader} by '
            f'filter_cfg={dict(dataset.filter_cfg or {})}; expected images of that size with '
            f'annotations of the {len(opened.classes)} classes'
        )


def lacking_keys(lists, path):
    """Entries without what mmdet reads of each."""
    for name, entries in lists.items():
        *keys, last = KEYS[name]
        lacking = [
            brief(each.get('file_name', each) if isinstance(each, dict) else each, 40)
            for each in entries
            if not isinstance(each, dict) or not {*keys, last} <= each.keys()
        ]
        if lacking:
            yield Finding(
                f'{path}: {len(lacking)} {name} lack {", ".join(keys)} or {last} '
                f'({some(lacking)}); expected all of each'
            )


def repeated_findings(dataset, coco):
    """Several entries of one id, of which the last alone counts, or categories of one name."""
    indices = dict(images=coco.imgs, annotations=coco.anns, categories=coco.cats)
    if not dataset.ANN_ID_UNIQUE:
        del indices['annotations']
    keys = [(k, 'id') for k, v in indices.items() if len(v) != len(coco.dataset.get(k) or ())]
    for name, key in [*keys, ('categories', 'name')]:
        counts = Counter(str(each.get(key)) for each in coco.dataset[name])
        found = [value for value, count in counts.items() if count > 1]
        if found:
            yield Finding(
                f'{dataset.ann_file}: several {name} have the same {key} ({some(found)}); give '
                f'each its own'
            )


def category_findings(opened):
    """Names that the file lacks or the config drops, and labels in another order than the names."""
    path, coco, loader = opened.dataset.ann_file, opened.coco, opened.loader
    classes, names = opened.classes, [each.get('name') for each in coco.dataset['categories']]
    lacking = [name for name in classes if name not in names]
    if lacking and not isinstance(opened.dataset.metainfo['classes'], str):
        yield Finding(
            f'{path} has the categories {some(names)}, but not {some(lacking)} of the '
            f'{len(classes)} classes of {loader}; set metainfo=dict(classes=[...]) of the '
            f'dataset to names of the file'
        )
    if lacking:
        return
    used = Counter(each.get('category_id') for each in coco.dataset.get('annotations') or ())
    dropped = [
        f'{category.get("name")} with {used[number]} annotations'
        for number, category in coco.cats.items()
        if category.get('name') not in classes and used[number]
    ]
    if dropped:
        yield Finding(f'{path}: the classes of {loader} leave out {some(dropped)}', 'note')
    labels = [coco.cats[number]['name'] for number in getattr(opened.dataset, 'cat_ids', ())]
    if len(labels) == len(classes) and labels != classes:
        first = [one == other for one, other in zip(labels, classes, strict=True)].index(False)
        yield Finding(
            f'{path}: mmdet numbers labels in the order of the file, which from label {first} on '
            f'is {some(labels[first:], 8)}, but the classes of {loader} are '
            f'{some(classes[first:], 8)}: names would be mixed up; write metainfo.classes in the '
            f'order of the file'
        )


def annotation_findings(opened):
    """Boxes and masks that are none, belong to nothing, or lie outside."""
    coco, found = opened.coco, defaultdict(list)
    annotations = coco.dataset.get('annotations') or ()
    masks = any(step.get('with_mask') for step in opened.steps('LoadAnnotations'))
    masked = getattr(opened.dataset, 'cat2label', coco.cats) if masks else ()
    for each in annotations:
        image = coco.imgs.get(each['image_id'])
        if flaw := annotation_flaw(each, image, coco.cats, masked):
            where = image.get('file_name', image['id']) if image else f'image_id {each["image_id"]}'
            found[flaw].append(f'annotation {each["id"]} of {where}')
    yield from flaw_findings(opened.dataset.ann_file, found, len(annotations))


def annotation_flaw(annotation, image, categories, masked):
    """What an annotation is if it is not sound, or None; the masks of some categories are read."""
    if image is None:
        return STRAY[0]
    if annotation.get('ignore'):
        return None
    category = annotation['category_id']
    if category not in categories:
        return STRAY[1]
    box, area = annotation.get('bbox'), annotation.get('area')
    if not (finite(box) and len(box) == 4 and finite([area])):
        return 'without a bbox of four numbers or without area'
    size = image.get('width'), image.get('height')
    if not finite(size):
        return 'of an image whose width or height is no number'
    x, y, w, h = box
    if w < 1 or h < 1 or area <= 0:
        return EMPTY
    if min(x + w, size[0]) <= max(x, 0) or min(y + h, size[1]) <= max(y, 0):
        return OUTSIDE
    return mask_flaw(annotation.get('segmentation'), *size) if category in masked else None


def mask_flaw(mask, width, height):
    """What an annotation is because of its mask, or None; nothing of it is decoded."""
    if not mask:
        return 'without the segmentation that with_mask=True reads'
    if isinstance(mask, list):
        sound = [len(p) >= 6 and len(p) % 2 == 0 for p in mask if finite(p)]
        if not any(sound) or len(sound) < len(mask):
            return 'with a polygon that is no list of x, y of 3 points or more'
        return None if all(sound) else SHORT
    size, counts = (mask.get('size'), mask.get('counts')) if isinstance(mask, dict) else (0, 0)
    if not isinstance(counts, list | str) or size != [height, width]:
        return 'with a mask that is no polygons and no RLE of the size of the image'
    if isinstance(counts, str):
        total = compressed_sum(counts)
    else:
        total = sum(counts) if finite(counts) and min(counts, default=-1) >= 0 else None
    return None if total == height * width else 'with an RLE whose counts do not fill the image'


def compressed_sum(text):
    """The sum of the counts of an RLE in COCO's text, or None if it is none.

    Counts are written in digits of five bits, the lowest first, from the fourth on as differences
    to the last but one.
    """
    digits = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    last = (digits & 32) == 0
    if not digits.size or digits.min() < 0 or digits.max() > 63 or not last[-1]:
        return None
    ends = np.flatnonzero(last) + 1
    lengths = np.diff(ends, prepend=0)
    if lengths.max() > 7:  # 35 bits
        return None
    place = 5 * (np.arange(digits.size) - np.repeat(ends - lengths, lengths))
    counts = np.add.reduceat((digits & 31) << place, ends - lengths)
    counts -= np.where(digits[last] & 16, 1 << 5 * lengths, 0)
    for start in (1, 2):
        counts[start::2] = np.cumsum(counts[start::2])
    return None if counts.min() < 0 else int(counts.sum())


def scored_findings(opened):
    """Annotations that the API of COCO cannot score, though they are fit for a training."""
    found = opened.coco.dataset.get('annotations') or () if opened.coco else ()
    zero = [each['image_id'] for each in found if each.get('id') == 0]
    lacking = [each.get('id') for each in found if 'iscrowd' not in each]
    path = opened.dataset.ann_file
    if zero:
        yield Finding(
            f'{path}: the annotation of id 0 (image_id {some(zero)}) counts as none when COCO is '
            f'scored, and what finds it as wrong; number annotations from 1'
        )
    if lacking:
        yield Finding(
            f'{path}: {len(lacking)} annotations lack iscrowd (id {some(lacking)}), without which '
            f'COCO cannot be scored; write 0'
        )
