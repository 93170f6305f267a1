"""What is wrong with the data of a config: one sentence for each fault, with file, found, expected.

A `Finding` is a fault, which stops a training or spoils it, or a note: something that is left out
in silence, which may be meant.
"""

import json
import math
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.registry import DATASETS, DefaultScope
from mmengine.utils import import_modules_from_strings
from PIL import Image

from mmbackbones.weights.errors import brief, some

LISTS = ('images', 'annotations', 'categories')  # of a COCO file
EMPTY, OUTSIDE = 'empty: smaller than a pixel', 'outside of their image'
LEFT_OUT = (EMPTY, OUTSIDE)  # by mmdet, in silence


class Finding(NamedTuple):
    """A sentence, and whether it is a fault."""

    text: str
    is_fault: bool = True


class Unreadable(ValueError):
    """What is so wrong with data that no other check makes sense."""


def quick_findings(cfg, loaders):
    """What annotation files, names and numbers show without a look into an image."""
    known = {}
    for loader in loaders:
        for settings in inner_datasets(cfg[loader].dataset):
            dataset = lazily_built(settings, cfg.default_scope)
            kind = layout(dataset)
            if kind is None:
                continue
            known.setdefault(loader, list(dataset.metainfo.get('classes') or ()))
            try:
                yield from kind.quick_findings(dataset, settings, loader)
            except Unreadable as error:
                yield Finding(str(error))
    yield from class_findings(cfg.model, known)
    for split in ('val', 'test'):
        if f'{split}_dataloader' in loaders:
            yield from evaluator_findings(cfg, split)


def image_findings(cfg, loader, progress):
    """What the images and masks of a loader show; `progress` draws a bar over an iterable."""
    for settings in inner_datasets(cfg[loader].dataset):
        dataset = lazily_built(settings, cfg.default_scope)
        kind = layout(dataset)
        if kind is None:
            continue
        try:
            yield from kind.image_findings(dataset, loader, progress)
        except Unreadable:
            continue  # which the quick look says


def inner_datasets(settings):
    """The datasets inside wrappers and concatenations."""
    if 'datasets' in settings:
        return [inner for each in settings.datasets for inner in inner_datasets(each)]
    return inner_datasets(settings.dataset) if 'dataset' in settings else [settings]


def lazily_built(settings, scope):
    """A dataset that has read nothing yet, which knows its files and classes."""
    import_modules_from_strings([f'{scope}.datasets'])
    with DefaultScope.overwrite_default_scope(scope):
        return DATASETS.build(dict(settings, lazy_init=True, pipeline=[]))


def as_list(value):
    """A value, or several, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def layout(dataset):
    """The class that knows how a dataset lies on disk, or None for one that is not known here."""
    kinds = {kind.__name__ for kind in type(dataset).__mro__}
    if 'CocoPanopticDataset' in kinds:  # whose files are laid out otherwise
        return None
    if 'CocoDataset' in kinds:
        return Coco
    return Maps if 'BaseSegDataset' in kinds else None


class Coco:
    """One file of annotations, and images beside it."""

    @classmethod
    def quick_findings(cls, dataset, settings, loader):
        """Classes, image entries, annotations, and what is left after the filter."""
        path = Path(dataset.ann_file)
        content = read_coco(path)
        folder = Path(dataset.data_prefix.get('img') or '.')
        if not folder.is_dir():
            yield Finding(f'{loader}: there is no folder of images {folder}; set data_prefix.img')
        yield from cls.class_findings(content, path, dataset.metainfo.get('classes') or (), loader)
        broken = cls.broken_images(content)
        if broken:
            yield Finding(
                f'{path}: {len(broken)} images lack id, file_name, width or height '
                f'({some(broken)}); expected all four of each'
            )
            return
        masks = any(
            step.get('with_mask') for step in settings.pipeline if 'LoadAnnotations' in step['type']
        )
        yield from cls.annotation_findings(content, path, masks)
        yield from cls.filter_findings(content, path, dataset, loader)

    @staticmethod
    def class_findings(content, path, classes, loader):
        """Names in the config that the file lacks, and names of the file that the config drops."""
        names = [category.get('name') for category in content['categories']]
        lacking = [name for name in classes if name not in names]
        if lacking:
            yield Finding(
                f'{path} has the categories {some(names)}, but not {some(lacking)} of the '
                f'{len(classes)} classes of {loader}; set metainfo=dict(classes=[...]) of the '
                f'dataset to names of the file'
            )
        used = Counter(each.get('category_id') for each in content['annotations'])
        dropped = [
            f'{category.get("name")} with {used[category.get("id")]} annotations'
            for category in content['categories']
            if category.get('name') not in classes and used[category.get('id')]
        ]
        if dropped and not lacking:
            yield Finding(
                f'{path}: the classes of {loader} leave out {some(dropped)}', is_fault=False
            )

    @staticmethod
    def broken_images(content):
        """The entries without what every image has, by name or number."""
        wanted = {'id', 'file_name', 'width', 'height'}
        return [
            str(image.get('file_name', f'number {number}'))
            for number, image in enumerate(content['images'])
            if not wanted <= image.keys()
        ]

    @staticmethod
    def annotation_findings(content, path, masks):
        """Boxes that are none, belong to nothing, or lie outside; annotations without a mask."""
        images = {image['id']: image for image in content['images']}
        categories = {category.get('id') for category in content['categories']}
        found = defaultdict(list)
        for each in content['annotations']:
            image = images.get(each.get('image_id'))
            where = image['file_name'] if image else f'image_id {each.get("image_id")}'
            flaw = annotation_flaw(each, image, categories, masks)
            found[flaw].append(f'annotation {each.get("id")} of {where}')
        found.pop(None, None)  # the sound ones
        for flaw, those in found.items():
            text = f'{path}: {len(those)} annotations are {flaw} ({some(those, 2)})'
            end = '; mmdet leaves them out' if flaw in LEFT_OUT else '; mend or remove them'
            yield Finding(text + end, is_fault=flaw not in LEFT_OUT)

    @staticmethod
    def filter_findings(content, path, dataset, loader):
        """An empty dataset after `filter_cfg`, which mmdet applies in training alone."""
        limits = dataset.filter_cfg if not dataset.test_mode and dataset.filter_cfg else {}
        classes = dataset.metainfo.get('classes') or ()
        wanted = {c.get('id') for c in content['categories'] if c.get('name') in classes}
        used = {a['image_id'] for a in content['annotations'] if a.get('category_id') in wanted}
        left = [
            image
            for image in content['images']
            if min(image['width'], image['height']) >= limits.get('min_size', 0)
            and (image['id'] in used or not limits.get('filter_empty_gt'))
        ]
        if not left:
            yield Finding(
                f'{path}: none of {len(content["images"])} images is left for {loader} by '
                f'filter_cfg={dict(limits)}; expected images of that size with annotations of '
                f'the {len(classes)} classes'
            )

    @staticmethod
    def image_findings(dataset, loader, progress):
        """Images that are missing, empty, unreadable, or of another size than the file says."""
        content = read_coco(Path(dataset.ann_file))
        folder = Path(dataset.data_prefix.get('img') or '.')
        entries = [image for image in content['images'] if 'file_name' in image]

        def look(image):
            path = folder / image['file_name']
            fault, size = image_fault(path)
            stated = image.get('width'), image.get('height')
            if not fault and size != stated and None not in stated:
                fault = f'{path} is {size[0]} x {size[1]}, but {dataset.ann_file} says ' + (
                    f'{stated[0]} x {stated[1]}; write the real size, or turn the image'
                )
            return fault

        yield from map(Finding, faults(look, entries, loader, progress))


class Maps:
    """A folder of images, and one of maps with a class number for each pixel."""

    @classmethod
    def quick_findings(cls, dataset, settings, loader):
        """Folders, suffixes and names: no image, or an image without its map."""
        images = cls.pairs(dataset, loader)
        lacking = [str(each) for _, each in images if not each.is_file()]
        if lacking and dataset.data_prefix.get('seg_map_path'):
            yield Finding(
                f'{loader}: {len(lacking)} of {len(images)} images have no map '
                f'({some(lacking, 2)}); expected one of the same name, ending in '
                f'{dataset.seg_map_suffix}: see seg_map_suffix'
            )

    @staticmethod
    def pairs(dataset, loader):
        """[(image, its map)]; `Unreadable` if there are none."""
        prefix, suffix = dataset.data_prefix, dataset.img_suffix
        folder = Path(prefix.get('img_path') or '.')
        if not folder.is_dir():
            raise Unreadable(
                f'{loader}: there is no folder of images {folder}; set data_prefix.img_path'
            )
        listed = dataset.ann_file and Path(dataset.ann_file)
        if listed and not listed.is_file():
            raise Unreadable(f'{loader}: there is no list of images {listed}; set ann_file')
        if listed:
            names = [f'{line.strip()}{suffix}' for line in listed.read_text().splitlines()]
        else:
            names = [str(path.relative_to(folder)) for path in folder.rglob(f'*{suffix}')]
        if not names:
            others = Counter(path.suffix for path in folder.rglob('*') if path.is_file())
            kinds = some(f'{count} {kind}' for kind, count in others.most_common())
            raise Unreadable(
                f'{loader}: {folder} has no image that ends in {suffix}, but {kinds or "nothing"}; '
                f'set img_suffix, or data_prefix.img_path to their folder'
            )
        maps = Path(prefix.get('seg_map_path') or folder)
        ends = len(suffix)
        return [
            (folder / name, maps / f'{name[:-ends]}{dataset.seg_map_suffix}')
            for name in sorted(names)
        ]

    @classmethod
    def image_findings(cls, dataset, loader, progress):
        """Images and maps that are missing, unreadable, of two sizes, or with unknown numbers."""
        images = cls.pairs(dataset, loader)
        # With a choice of the dataset's classes, the maps still have the numbers of all.
        known = dataset.METAINFO if dataset.metainfo.get('label_map') else dataset.metainfo
        count = len(known.get('classes') or ())

        def look(pair):
            fault, size = image_fault(pair[0])
            return fault or map_fault(pair[1], pair[0], size, count, dataset)

        yield from map(Finding, faults(look, images, loader, progress))


def read_coco(path):
    """The content of a COCO file; `Unreadable` if it is missing, broken or another file."""
    if not path.is_file():
        raise Unreadable(f'there is no annotation file {path}; set ann_file and data_root')
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise Unreadable(
            f'{path} is no JSON ({brief(error)}); expected annotations as COCO has'
        ) from error
    found = content if isinstance(content, dict) else {}
    lacking = [name for name in LISTS if not isinstance(found.get(name), list)]
    empty = [name for name in ('images', 'categories') if not lacking and not found[name]]
    if lacking or empty:
        has = some(found) if found else type(content).__name__
        raise Unreadable(
            f'{path} has no {" and no ".join(lacking or empty)}, but {has}; expected '
            f'{", ".join(LISTS)} as COCO has'
        )
    return content


def annotation_flaw(annotation, image, categories, masks):
    """What an annotation is if it is not sound, or None; `masks` are wanted or not."""
    box = annotation.get('bbox')
    if image is None:
        return 'of no image in the file'
    if annotation.get('category_id') not in categories:
        return 'of no category in the file'
    if not is_box(box) or 'area' not in annotation:
        return 'without a bbox of four numbers or without area'
    if min(box[2:]) < 1 or annotation['area'] <= 0:
        return EMPTY
    if not overlaps(box, image['width'], image['height']):
        return OUTSIDE
    if masks and not annotation.get('segmentation') and not annotation.get('iscrowd'):
        return 'without the segmentation that with_mask=True reads'
    return None


def is_box(box):
    """Whether it is four finite numbers, of which the last two are not negative."""
    numbers = isinstance(box, list) and len(box) == 4
    numbers = numbers and all(isinstance(x, int | float) and math.isfinite(x) for x in box)
    return numbers and min(box[2:]) >= 0


def overlaps(box, width, height):
    """Whether a box (x, y, width, height) has a part in an image."""
    x, y, w, h = box
    return min(x + w, width) > max(x, 0) and min(y + h, height) > max(y, 0)


def class_findings(model, known):
    """Loaders with other classes than the first, and heads for another number of them."""
    if not known:
        return
    (loader, classes), *others = known.items()
    for other, its in others:
        if its != classes:
            yield Finding(
                f'{other} has {len(its)} classes ({some(its)}), but {loader} has '
                f'{len(classes)} ({some(classes)}); give both the same metainfo'
            )
    for where, head in heads(model, 'model'):
        things = head.get('num_things_classes'), head.get('num_stuff_classes')
        panoptic = None not in things
        count = sum(things) if panoptic else head.get('num_classes')
        if classes and count is not None and count != len(classes):
            key = 'num_things_classes and num_stuff_classes' if panoptic else 'num_classes'
            yield Finding(
                f'{where}.{key} is {count}, but {loader} has {len(classes)} classes '
                f'({some(classes)}); set it to {len(classes)}, or metainfo.classes of the dataset'
            )


def heads(part, where):
    """(path, settings) of every part of a model that counts classes."""
    if isinstance(part, dict):
        if 'num_classes' in part or 'num_things_classes' in part:
            yield where, part
        for name, each in part.items():
            yield from heads(each, f'{where}.{name}')
    elif isinstance(part, list | tuple):
        for number, each in enumerate(part):
            yield from heads(each, f'{where}[{number}]')


def evaluator_findings(cfg, split):
    """An evaluator that reads another annotation file than its loader, or none."""
    evaluators = as_list(cfg.get(f'{split}_evaluator') or [])
    datasets = inner_datasets(cfg[f'{split}_dataloader'].dataset)
    if any('Panoptic' in str(each.type) for each in datasets):
        return  # things are evaluated with a file of their own
    files = {
        str(Path(each.get('data_root') or '', each.ann_file))
        for each in datasets
        if each.get('ann_file')
    }
    for each in evaluators:
        path = each.get('ann_file')
        if not path or not files:
            continue
        wanted = f'{split}_dataloader reads {", ".join(sorted(files))}; set both to one file'
        if not Path(path).is_file():
            yield Finding(f'{split}_evaluator.ann_file: there is no {path}, and {wanted}')
        elif str(Path(path)) not in files:
            yield Finding(f'{split}_evaluator.ann_file is {path}, but {wanted}')


def faults(look, entries, loader, progress):
    """The sentences of `look` for each entry that it has one for, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(look, entries)
        yield from filter(None, progress(found, f'{loader}: images', total=len(entries)))


def image_fault(path):
    """A sentence about an image that cannot be read, or None, and its (width, height)."""
    if not path.is_file():
        return f'there is no image {path}; bring it, or remove it from the annotations', None
    if not path.stat().st_size:
        return f'{path} is empty, expected an image; bring it anew', None
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        return f'{path} is no image that OpenCV can read; bring it anew', None
    return None, image.shape[1::-1]


def map_fault(path, image, size, count, dataset):
    """A sentence about the map of an image of a (width, height), or None."""
    try:
        labels = np.asarray(Image.open(path))
    except (OSError, ValueError) as error:
        return f'{path} is no map that can be read ({brief(error)}); expected one for {image}'
    if labels.ndim != 2:
        return (
            f'{path} has {labels.shape[2]} channels, expected one with a class number for each '
            f'pixel; convert its colours to numbers'
        )
    if labels.shape[1::-1] != size:
        found, wanted = (f'{width} x {height}' for width, height in (labels.shape[1::-1], size))
        return f'{path} is {found}, but its image {image} is {wanted}; they must have one size'
    first = 1 if dataset.reduce_zero_label else 0  # 0 is then unlabelled
    known = {*range(count + first), dataset.ignore_index}
    odd = sorted(set(np.unique(labels).tolist()) - known)
    if count and odd:
        return (
            f'{path} has the numbers {some(map(str, odd))}, but classes are {first} to '
            f'{count + first - 1}, and {dataset.ignore_index} is ignored; renumber them, or see '
            f'metainfo.classes and reduce_zero_label'
        )
    return None
