"""What is wrong with annotations: entries, categories, boxes and masks, as COCO has them."""

from collections import Counter, defaultdict

from lib.datasets import Finding
from mmbackbones.weights.errors import shorten_list, truncate

LISTS = ('images', 'annotations', 'categories')
NO_IMAGE, NO_CATEGORY = 'of no image in the file', 'of no category in the file'
OUTSIDE = 'outside of their image or smaller than a pixel'
SHORT = 'with a polygon of less than 3 points, or of half a point, beside sound ones'
LEFT_OUT = (NO_IMAGE, NO_CATEGORY, OUTSIDE, SHORT)  # by mmdet, in silence


def coco_findings(opened):
    """What a COCO file has that mmdet cannot read, or that it leaves out or numbers otherwise."""
    dataset, coco, error = opened.dataset, opened.coco, opened.error
    path, content = dataset.ann_file, coco.dataset
    if error and not coco.imgs:  # not even indexed
        if isinstance(error, KeyError) and error.args[0] in ('id', 'image_id', 'category_id'):
            yield lacking_key(content, path, error.args[0])
        return
    panoptic = not dataset.ANN_ID_UNIQUE  # whose annotations are maps of segments
    yield from repeated_findings(content, path)
    yield from category_findings(opened)
    if panoptic:
        yield from instance_findings(opened)
    else:
        yield from annotation_findings(opened)
    if not error and not dataset.data_list:
        yield Finding(
            f'{path}: none of {len(coco.imgs)} images is left for {opened.loader} by '
            f'filter_cfg={dict(dataset.filter_cfg or {})}; expected images of that size with '
            f'annotations of the {len(opened.classes)} classes'
        )


def lacking_key(content, path, key):
    """The finding that entries lack a key without which COCO's API cannot index them."""
    lacking = []
    for name in LISTS:
        entries = [entry for entry in content.get(name) or () if isinstance(entry, dict)]
        count = sum(key not in entry for entry in entries)
        if count:
            lacking.append(f'{count} of {len(entries)} {name}')
    return Finding(
        f'{path} cannot be indexed: {key} is asked for, which {shorten_list(lacking)} lack'
    )


def repeated_findings(content, path):
    """Several entries of one id, of which the last alone counts, or categories of one name."""
    for name, key in [*((name, 'id') for name in LISTS), ('categories', 'name')]:
        counts = Counter(str(each[key]) for each in content.get(name) or () if key in each)
        found = [value for value, count in counts.items() if count > 1]
        if found:
            yield Finding(
                f'{path}: several {name} have the same {key} ({shorten_list(found)}); give each '
                'its own'
            )


def category_findings(opened):
    """Names that the file lacks or the config drops, and labels in another order than the names."""
    path, coco, loader = opened.dataset.ann_file, opened.coco, opened.loader
    classes, names = opened.classes, [each.get('name') for each in coco.cats.values()]
    if isinstance(opened.dataset.metainfo['classes'], str):
        return  # which is said where heads are compared
    lacking = [name for name in classes if name not in names]
    if lacking:
        yield Finding(
            f'{path} has the categories {shorten_list(names) or "none"}, but not '
            f'{shorten_list(lacking)} of the {len(classes)} classes of {loader}; set '
            f'metainfo=dict(classes=[...]) of the dataset to names of the file'
        )
        return
    used = Counter(each.get('category_id') for each in coco.dataset.get('annotations') or ())
    dropped = [
        f'{category.get("name")} with {used[number]} annotations'
        for number, category in coco.cats.items()
        if category.get('name') not in classes and used[number]
    ]
    if dropped:
        yield Finding(f'{path}: the classes of {loader} leave out {shorten_list(dropped)}', 'note')
    labels = [coco.cats[number]['name'] for number in getattr(opened.dataset, 'cat_ids', ())]
    if len(labels) == len(classes) and labels != classes:
        first = [one == other for one, other in zip(labels, classes, strict=True)].index(False)
        yield Finding(
            f'{path}: mmdet numbers labels in the order of the file, which from label {first} on '
            f'is {shorten_list(labels[first:], 8)}, but the classes of {loader} are '
            f'{shorten_list(classes[first:], 8)}: names would be mixed up; write metainfo.classes '
            f'in the order of the file'
        )


def flaw_findings(path, flaws):
    """A sentence for each flaw of {flaw: those annotations}."""
    for flaw, those in flaws.items():
        text = f'{path}: {len(those)} annotations are {flaw} ({shorten_list(those, 2)})'
        if flaw in LEFT_OUT:
            yield Finding(f'{text}; mmdet leaves them out', 'note')
        else:
            yield Finding(f'{text}; mend or remove them')


def instance_findings(opened):
    """Instances of any dataset of mmdet whose boxes are none or whose labels no class has."""
    count, found = len(opened.classes), defaultdict(list)
    for entry in opened.dataset.data_list:
        for number, each in enumerate(entry.get('instances') or ()):
            box, label = each.get('bbox'), each.get('bbox_label')
            where = f'number {number} of {entry.get("img_path")}'
            if isinstance(box, list | tuple) and not is_box(box):  # else of another kind
                found['without a box of finite numbers'].append(where)
            elif count and isinstance(label, int) and label >= count:
                found[f'of a label beyond the {count} classes of {opened.loader}'].append(where)
    yield from flaw_findings(opened.source, found)


def is_box(box):
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
    for each in coco.dataset.get('annotations') or ():
        image = coco.imgs.get(each['image_id'])
        if flaw := annotation_flaw(opened, each, image, masks):
            where = image.get('file_name', image['id']) if image else f'image_id {each["image_id"]}'
            found[flaw].append(f'annotation {each["id"]} of {where}')
    yield from flaw_findings(opened.source, found)


def annotation_flaw(opened, annotation, image, masks):
    """What an annotation is if it is not sound, or None; mmdet reads it by itself."""
    if image is None:
        return NO_IMAGE
    if annotation['category_id'] not in opened.coco.cats:
        return NO_CATEGORY
    used = annotation['category_id'] in getattr(opened.dataset, 'cat2label', ())
    if annotation.get('ignore') or not used:
        return None
    raw = dict(raw_img_info=dict(image, img_id=image['id']), raw_ann_info=[annotation])
    try:
        kept = opened.dataset.parse_data_info(raw).get('instances', True)
        numbers = [*annotation['bbox'], annotation['area']]
    except Exception as error:  # whatever mmdet and Python say of its numbers
        # A dataset that mm has read may want more for it than one annotation.
        reason = f'unreadable: {type(error).__name__}: {truncate(error, 100)}'
        return reason if opened.error else None
    if not finite(numbers):
        return 'without finite numbers in bbox and area'
    if not kept:
        return OUTSIDE
    mask, size = annotation.get('segmentation'), [image['height'], image['width']]
    return mask_flaw(mask, size) if masks else None


def mask_flaw(mask, image_size):
    """What an annotation is because of its mask, or None; nothing of it is decoded."""
    if not mask:
        return 'without the segmentation that with_mask=True reads'
    if isinstance(mask, list):
        sound = [len(p) >= 6 and len(p) % 2 == 0 for p in mask if finite(p)]
        if not any(sound) or len(sound) < len(mask):
            return 'with a polygon that is no list of x, y of 3 points or more'
        return None if all(sound) else SHORT
    size, counts = (mask.get('size'), mask.get('counts')) if isinstance(mask, dict) else (0, 0)
    if not isinstance(counts, list | str) or size != image_size:
        return 'with a mask that is no polygons and no RLE of the size of the image'
    if isinstance(counts, str):
        counts = uncompressed(counts)
    fills = finite(counts) and min(counts, default=-1) >= 0 and sum(counts) == size[0] * size[1]
    return None if fills else 'with an RLE whose counts do not fill the image'


def uncompressed(text):
    """The counts of an RLE in COCO's text, or an empty list if it is none.

    Counts are written in digits of five bits, the lowest first, from the fourth on as differences
    to the last but one.
    """
    counts, count, shift = [], 0, 0
    for digit in text.encode():
        digit -= 48
        if not 0 <= digit < 64 or shift > 30:
            return []
        count += (digit & 31) << shift
        shift += 5
        if digit & 32:  # more digits follow
            continue
        if digit & 16:  # a negative number
            count -= 1 << shift
        if len(counts) > 2:
            count += counts[-2]
        counts.append(count)
        count = shift = 0
    return [] if shift else counts


def scored_findings(opened):
    """Annotations that the API of COCO cannot score, though they are fit for a training."""
    found = opened.coco.dataset.get('annotations') or () if opened.coco else ()
    zero = [each['image_id'] for each in found if each.get('id') == 0]
    lacking = [each.get('id') for each in found if 'iscrowd' not in each]
    path = opened.dataset.ann_file
    if zero:
        yield Finding(
            f'{path}: the annotation of id 0 (image_id {shorten_list(zero)}) counts as none when '
            f'COCO is scored, and what finds it as wrong; number annotations from 1'
        )
    if lacking:
        yield Finding(
            f'{path}: {len(lacking)} annotations lack iscrowd (id {shorten_list(lacking)}), '
            f'without which COCO cannot be scored; write 0'
        )
