"""What is wrong with annotations: entries, categories, boxes and masks, as COCO has them."""

from collections import Counter, defaultdict

import numpy as np

from lib.datasets import Finding
from mmbackbones.weights.errors import some

KEYS = {  # without which mmdet does not read an entry of a COCO file
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id'),
    'categories': ('id', 'name'),
}
NO_IMAGE, NO_CATEGORY = 'of no image in the file', 'of no category in the file'
EMPTY, OUTSIDE = 'empty: smaller than a pixel', 'outside of their image'
SHORT = 'with a polygon of less than 3 points, or of half a point, beside sound ones'
LEFT_OUT = (NO_IMAGE, NO_CATEGORY, EMPTY, OUTSIDE, SHORT)  # by mmdet, in silence


def coco_findings(opened):
    """What a COCO file has that mmdet cannot read, or that it leaves out or numbers otherwise."""
    dataset, coco, error = opened.dataset, opened.coco, opened.error
    path, content = dataset.ann_file, coco.dataset
    absent = [name for name in ('images', 'categories') if not content.get(name)]
    if absent:
        yield Finding(
            f'{path} has no {" and no ".join(absent)}, but {some(content) or "nothing"}; '
            f'expected {", ".join(KEYS)} as COCO has'
        )
        return
    panoptic = not dataset.ANN_ID_UNIQUE  # whose annotations are maps of segments
    if error:
        yield from lacking_keys(content, path, ['annotations'] if panoptic else [])
    if not coco.imgs:  # not even indexed
        return
    yield from repeated_findings(content, path)
    yield from category_findings(opened)
    yield from (instance_findings if panoptic else annotation_findings)(opened)
    if not error and not dataset.data_list:
        yield Finding(
            f'{path}: none of {len(coco.imgs)} images is left for {opened.loader} by '
            f'filter_cfg={dict(dataset.filter_cfg or {})}; expected images of that size with '
            f'annotations of the {len(opened.classes)} classes'
        )


def lacking_keys(content, path, others):
    """Entries without what mmdet reads of each, but for lists of other entries."""
    for name, keys in KEYS.items():
        entries = content.get(name)
        if isinstance(entries, list) and name not in others:
            lacking = [e for e in entries if not isinstance(e, dict) or not {*keys} <= e.keys()]
            if lacking:
                yield Finding(
                    f'{path}: {len(lacking)} of {len(entries)} {name} lack one of '
                    f'{", ".join(keys)} ({some(lacking, 1)})'
                )


def repeated_findings(content, path):
    """Several entries of one id, of which the last alone counts, or categories of one name."""
    for name, key in [*((name, 'id') for name in KEYS), ('categories', 'name')]:
        counts = Counter(str(each[key]) for each in content.get(name) or () if key in each)
        found = [value for value, count in counts.items() if count > 1]
        if found:
            yield Finding(
                f'{path}: several {name} have the same {key} ({some(found)}); give each its own'
            )


def category_findings(opened):
    """Names that the file lacks or the config drops, and labels in another order than the names."""
    path, coco, loader = opened.dataset.ann_file, opened.coco, opened.loader
    classes, names = opened.classes, [each.get('name') for each in coco.dataset['categories']]
    if isinstance(opened.dataset.metainfo['classes'], str):
        return  # which is said where heads are compared
    lacking = [name for name in classes if name not in names]
    if lacking:
        yield Finding(
            f'{path} has the categories {some(names)}, but not {some(lacking)} of the '
            f'{len(classes)} classes of {loader}; set metainfo=dict(classes=[...]) of the '
            f'dataset to names of the file'
        )
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


def flaw_findings(path, flaws):
    """A sentence for each flaw of {flaw: those annotations}."""
    for flaw, those in flaws.items():
        text = f'{path}: {len(those)} annotations are {flaw} ({some(those, 2)})'
        if flaw in LEFT_OUT:
            yield Finding(f'{text}; mmdet leaves them out', 'note')
        else:
            yield Finding(f'{text}; mend or remove them')


def instance_findings(opened):
    """Instances of any dataset of mmdet whose boxes are none or whose labels no class has."""
    count, found = len(opened.classes), defaultdict(list)
    for entry in getattr(opened.dataset, 'data_list', ()):
        for number, each in enumerate(entry.get('instances') or ()):
            box, label = each.get('bbox'), each.get('bbox_label')
            where = f'number {number} of {entry.get("img_path")}'
            if isinstance(box, list | tuple) and not sound_box(box):  # else of another kind
                found['without a box of finite numbers'].append(where)
            elif count and isinstance(label, int) and label >= count:
                found[f'of a label beyond the {count} classes of {opened.loader}'].append(where)
    yield from flaw_findings(opened.source, found)


def sound_box(box):
    """Whether corners are finite numbers, and those of x1, y1, x2, y2 in their order."""
    return finite(box) and (len(box) != 4 or (box[0] <= box[2] and box[1] <= box[3]))


def finite(numbers):
    """Whether it is a list of numbers without NaN and infinity, which their sum would have, too."""
    try:
        return isinstance(numbers, list | tuple) and abs(sum(numbers)) < 1e12
    except (TypeError, OverflowError):  # texts; numbers of hundreds of digits
        return False


def annotation_findings(opened):
    """Boxes and masks that are none, belong to nothing, or lie outside."""
    coco, found = opened.coco, defaultdict(list)
    masks = any(step.get('with_mask') for step in opened.steps('LoadAnnotations'))
    masked = getattr(opened.dataset, 'cat2label', coco.cats) if masks else ()
    for each in coco.dataset.get('annotations') or ():
        image = coco.imgs.get(each['image_id'])
        if flaw := annotation_flaw(each, image, coco.cats, masked):
            where = image.get('file_name', image['id']) if image else f'image_id {each["image_id"]}'
            found[flaw].append(f'annotation {each["id"]} of {where}')
    yield from flaw_findings(opened.source, found)


def annotation_flaw(annotation, image, categories, masked):
    """What an annotation is if it is not sound, or None; the masks of some categories are read."""
    if image is None:
        return NO_IMAGE
    if annotation.get('ignore'):
        return None
    category = annotation['category_id']
    if category not in categories:
        return NO_CATEGORY
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
