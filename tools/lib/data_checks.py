"""What is wrong with the data of a config: one sentence for each fault, with file, found, expected.

mm builds the datasets, reads them and loads the images; what it then has, or fails with, is said in
a sentence. A `Finding` is a fault, which stops a training or spoils it; a note on what is left out
in silence, which may be meant; or what could not be looked at.
"""

import contextlib
import io
import logging
import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import islice
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine import fileio
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS, DefaultScope
from mmengine.utils import import_modules_from_strings, is_abs
from PIL import Image
from torch.overrides import TorchFunctionMode

from mmbackbones.weights.errors import brief, some

SOURCES = {  # of the data that our configs are for, by data_root
    'data/coco': 'download train2017, val2017 and annotations from https://cocodataset.org/#download',
    'data/ade/ADEChallengeData2016': 'download ADEChallengeData2016 from '
    'https://groups.csail.mit.edu/vision/datasets/ADE20K',
}
KEYS = {  # without which mmdet does not read an entry of a COCO file
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id'),
    'categories': ('id', 'name'),
}
EMPTY, OUTSIDE = 'empty: smaller than a pixel', 'outside of their image'
NO_IMAGE, NO_CATEGORY = 'of no image in the file', 'of no category in the file'
NAMES = {
    'img': 'folder of images',
    'img_path': 'folder of images',
    'seg_map_path': 'folder of maps',
}


class Finding(NamedTuple):
    """A sentence, and whether it is a fault, a note, or about what was not looked at."""

    text: str
    kind: str = 'fault'

    @property
    def is_fault(self):
        """Whether it stops a training or spoils it."""
        return self.kind == 'fault'


class Opened(NamedTuple):
    """A dataset of a loader as mm read it: `coco` is its file if it is of that kind."""

    loader: str
    settings: Any
    dataset: Any = None
    coco: Any = None
    error: Exception | None = None

    @property
    def classes(self):
        """The names of its classes, or an empty list."""
        return list(getattr(self.dataset, 'metainfo', {}).get('classes') or ())

    def loads(self, what):
        """Whether a step of its pipeline has annotations with a flag, as with_mask, set."""
        return any(step.get(what) for step in self.steps('LoadAnnotations'))

    def steps(self, name):
        """The settings of those steps of its pipeline that have a word in their name."""
        pipeline = self.settings.get('pipeline') or ()
        return [step for step in pipeline if isinstance(step, dict) and name in type_name(step)]

    def unseen(self, reason):
        """The finding that it could not be looked at."""
        name = type_name(self.settings)
        return Finding(f'{name} of {self.loader} ({brief(reason)})', 'not looked at')


def type_name(settings):
    """The name of the class that settings are for, which may be the class itself."""
    kind = settings.get('type') if isinstance(settings, dict) else type(settings)
    return getattr(kind, '__name__', str(kind))


def as_list(value):
    """A value, or several, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def inner_datasets(settings):
    """The datasets inside wrappers and concatenations."""
    if isinstance(settings, list | tuple):
        return [inner for each in settings for inner in inner_datasets(each)]
    for name in ('datasets', 'dataset'):
        if isinstance(settings, dict) and name in settings:
            return inner_datasets(settings[name])
    return [settings]


def named_paths(settings):
    """{key of a dataset's settings: the path that mm makes of it}."""
    names = {'ann_file': settings.get('ann_file')}
    names |= {f'data_prefix.{k}': v for k, v in (settings.get('data_prefix') or {}).items()}
    root = settings.get('data_root') or ''
    joined = {k: v if is_abs(v) else fileio.join_path(root, v) for k, v in names.items() if v}
    return {key: path for key, path in joined.items() if isinstance(path, str)}


def open_datasets(cfg, loaders):
    """Every dataset of some loaders, as mm builds it and reads it."""
    return [
        open_dataset(settings, loader, cfg.get('default_scope'))
        for loader in loaders
        if isinstance(cfg.get(loader), dict)
        for settings in inner_datasets(cfg[loader].dataset)
    ]


def open_dataset(settings, loader, scope):
    """What mm reads, filtered as for training, or the error that it fails with."""
    dataset, files = None, []
    try:
        with in_scope(scope, 'datasets', 'evaluation'), contextlib.redirect_stdout(io.StringIO()):
            dataset = DATASETS.build(dict(settings, lazy_init=True, pipeline=[]))
            if hasattr(dataset, 'COCOAPI'):  # whose content mmdet does not keep
                dataset.COCOAPI = kept_in(files, dataset.COCOAPI)
            dataset.serialize_data = False
            dataset.full_init()
    except Exception as error:  # whatever mm and its readers raise
        return Opened(loader, settings, dataset, *files[:1] or [None], error)
    return Opened(loader, settings, dataset, *files[:1])


@contextlib.contextmanager
def in_scope(scope, *parts):
    """mm builds what a config of a scope names."""
    if scope:
        import_modules_from_strings(
            [f'{scope}.{part}' for part in parts], allow_failed_imports=False
        )
    with DefaultScope.overwrite_default_scope(scope):
        yield


def kept_in(files, api):
    """A COCO API of pycocotools that is kept, even if it fails at what it has read."""

    class Kept(api):
        def createIndex(self):  # noqa: N802
            files.append(self)
            super().createIndex()

    return Kept


def quick_findings(cfg, loaders, datasets=None):
    """What annotation files, names and numbers show without a look into an image."""
    datasets = open_datasets(cfg, loaders) if datasets is None else datasets
    for opened in datasets:
        yield from map(printable, dataset_findings(opened))
    yield from map(printable, class_findings(cfg, [each for each in datasets if each.classes]))
    for split in ('val', 'test'):
        its = [each for each in datasets if each.loader == f'{split}_dataloader' and each.dataset]
        yield from map(printable, evaluator_findings(cfg, split, its))


def printable(finding):
    """A finding without what would command a terminal."""
    text = ''.join(c if c.isprintable() else '?' for c in finding.text)
    return finding._replace(text=text)


def dataset_findings(opened):
    """Why mm cannot read a dataset, or what of it is wrong."""
    dataset, error = opened.dataset, opened.error
    if isinstance(error, ImportError | RuntimeError | NotImplementedError) and not isinstance(
        error, RecursionError
    ):
        yield opened.unseen(error)
    elif not hasattr(dataset, 'data_list') and isinstance(error, TypeError | AttributeError):
        yield opened.unseen('it is no dataset that reads all its annotations at once')
    elif isinstance(error, OSError | AssertionError) and (lost := missing(opened)):
        yield lost
    elif opened.coco or hasattr(dataset, 'COCOAPI') and error:
        found = [*coco_findings(opened)]
        yield from found
        if error and not any(each.is_fault for each in found):
            yield unreadable(opened)
    elif error:
        yield unreadable(opened)
    else:
        yield from instance_findings(opened)
    if dataset is not None and not error:
        yield from file_findings(opened)


def unreadable(opened):
    """What mm says of data that it cannot read."""
    where = getattr(opened.dataset, 'ann_file', '') or f'the data of {opened.loader}'
    reason = f'{type(opened.error).__name__}: {brief(opened.error)}'
    return Finding(f'{where}: {type_name(opened.settings)} cannot read it ({reason})')


def missing(opened):
    """The finding for the first file or folder of a dataset that is not there, or None."""
    settings, loader = opened.settings, opened.loader
    lost = [item for item in named_paths(settings).items() if not there(item[1], settings)]
    if not lost:
        return None
    key, path = lost[0]
    root = str(settings.get('data_root') or '').rstrip('/')
    if root in SOURCES:
        return Finding(
            f'{path} is missing: {SOURCES[root]} and unpack into {root}, set '
            f'{loader}.dataset.data_root, or try the demo set with --demo'
        )
    plain = 'annotation file' if path.endswith('.json') else 'list of images'
    what = NAMES.get(key.rpartition('.')[2], 'folder') if '.' in key else plain
    return Finding(f'{loader}: there is no {what} {path}; set {key} and data_root')


def there(path, settings):
    """Whether a file or folder exists; of a store whose client is not installed, nobody knows."""
    try:
        return fileio.exists(path, backend_args=settings.get('backend_args'))
    except Exception:  # of any client
        return True


def file_findings(opened):
    """No image at all, images that are not where they should be, or without their maps."""
    dataset, settings = opened.dataset, opened.settings
    entries = dataset.data_list
    if not entries and opened.coco is None:
        yield empty_folder(opened)
    paths = [e['img_path'] for e in islice(entries, 20) if isinstance(e.get('img_path'), str)]
    reader = next(iter(opened.steps('LoadImage')), settings)
    if paths and not any(there(path, reader) for path in paths):
        yield missing(opened) or Finding(
            f'{opened.loader}: there is no image {paths[0]}; set data_prefix and data_root'
        )
        return
    if hasattr(dataset, 'img_suffix') and not dataset.ann_file:
        yield from suffix_findings(opened)
    if (
        opened.steps('LoadAnnotations')
        and hasattr(dataset, 'seg_map_suffix')
        and opened.coco is None
    ):
        maps = [entry.get('seg_map_path') for entry in entries]
        lacking = [str(path) for path in maps if not path or not there(path, settings)]
        if lacking:
            yield Finding(
                f'{opened.loader}: {len(lacking)} of {len(maps)} images have no map '
                f'({some(lacking, 2)}); expected one of the same name, ending in '
                f'{dataset.seg_map_suffix}: see seg_map_suffix and data_prefix.seg_map_path'
            )


def suffixes(opened):
    """{suffix: how many images} of what a folder has that `img_suffix` leaves out."""
    dataset = opened.dataset
    names = fileio.list_dir_or_file(
        dataset.data_prefix['img_path'],
        list_dir=False,
        recursive=True,
        backend_args=opened.settings.get('backend_args'),
    )
    ends = (os.path.splitext(name)[1] for name in names if not name.endswith(dataset.img_suffix))
    return Counter(ends).most_common()


def empty_folder(opened):
    """The finding for a dataset without any image."""
    dataset = opened.dataset
    if not hasattr(dataset, 'img_suffix') or dataset.ann_file:
        return Finding(f'{opened.loader}: {type_name(opened.settings)} has no image')
    kinds = some(f'{count} {kind}' for kind, count in suffixes(opened))
    folder = dataset.data_prefix['img_path']
    return Finding(
        f'{opened.loader}: {folder} has no image that ends in {dataset.img_suffix}, but '
        f'{kinds or "nothing"}; set img_suffix, or data_prefix.img_path to their folder'
    )


def suffix_findings(opened):
    """A note on images of the folder with another suffix, which are left out."""
    dataset, maps = opened.dataset, opened.dataset.seg_map_suffix
    known = Image.registered_extensions()
    left = [f'{n} {end}' for end, n in suffixes(opened) if end.lower() in known and end != maps]
    if left and dataset.data_list:
        yield Finding(
            f'{opened.loader}: {dataset.data_prefix["img_path"]} has {len(dataset.data_list)} '
            f'images that end in {dataset.img_suffix}; left out are {some(left)}',
            'note',
        )


def coco_findings(opened):
    """What a COCO file has that mmdet cannot read, or that it leaves out or numbers otherwise."""
    dataset, coco, error = opened.dataset, opened.coco, opened.error
    path, content = dataset.ann_file, coco.dataset if coco else {}
    if not coco and isinstance(error, ValueError | RecursionError):
        yield Finding(f'{path} is no JSON ({brief(error)}); expected annotations as COCO has')
        return
    wanted = [name for name in ('images', 'categories') if not isinstance(content.get(name), list)]
    absent = wanted or [name for name in ('images', 'categories') if not content[name]]
    if absent:
        yield Finding(
            f'{path} has no {" and no ".join(absent)}, but {some(content) or "something else"}; '
            f'expected {", ".join(KEYS)} as COCO has'
        )
        return
    if error:
        yield from lacking_keys(content, path)
    if not coco.imgs:  # not even indexed
        return
    yield from repeated_findings(dataset, coco)
    yield from category_findings(opened)
    if hasattr(coco, 'load_anns') and dataset.ANN_ID_UNIQUE:
        flaws = annotation_flaws(coco, opened.loads('with_mask'))
        yield from flaw_findings(path, flaws, len(coco.anns))
    else:
        yield from instance_findings(opened)
    if not error and not dataset.data_list:
        yield Finding(
            f'{path}: none of {len(coco.imgs)} images is left for {opened.loader} by '
            f'filter_cfg={dict(dataset.filter_cfg or {})}; expected images of that size with '
            f'annotations of the {len(opened.classes)} classes'
        )


def lacking_keys(content, path):
    """Entries without what mmdet reads of each."""
    for name, keys in KEYS.items():
        lacking = [
            str(each.get('file_name', f'number {number}') if isinstance(each, dict) else each)
            for number, each in enumerate(content.get(name) or ())
            if not isinstance(each, dict) or not each.keys() >= set(keys)
        ]
        if lacking:
            yield Finding(
                f'{path}: {len(lacking)} {name} lack {", ".join(keys[:-1])} or {keys[-1]} '
                f'({some(lacking)}); expected all of each'
            )


def repeated_findings(dataset, coco):
    """Two entries of one id, of which the first is lost, and two categories of one name."""
    content = coco.dataset
    entries = dict(images=coco.imgs, categories=coco.cats)
    if dataset.ANN_ID_UNIQUE and content.get('annotations'):
        entries['annotations'] = coco.anns
    twice = [(name, 'id') for name, index in entries.items() if len(index) != len(content[name])]
    for name, key in [*twice, ('categories', 'name')]:
        counts = Counter(str(each.get(key)) for each in content[name])
        found = [value for value, count in counts.items() if count > 1]
        if found:
            yield Finding(
                f'{dataset.ann_file}: several {name} have one {key} ({some(found)}); give each '
                f'its own'
            )


def category_findings(opened):
    """Names that the file lacks or the config drops, and labels in another order than the names."""
    path, coco, loader = opened.dataset.ann_file, opened.coco, opened.loader
    classes, names = opened.classes, [each.get('name') for each in coco.dataset['categories']]
    if isinstance(opened.dataset.metainfo.get('classes'), str):
        return  # which is said of the model, too
    lacking = [name for name in classes if name not in names]
    if lacking:
        yield Finding(
            f'{path} has the categories {some(names)}, but not {some(lacking)} of the '
            f'{len(classes)} classes of {loader}; set metainfo=dict(classes=[...]) of the '
            f'dataset to names of the file'
        )
        return
    used = Counter(each['category_id'] for each in coco.dataset.get('annotations', ()))
    dropped = [
        f'{category.get("name")} with {used[number]} annotations'
        for number, category in coco.cats.items()
        if category.get('name') not in classes and used[number]
    ]
    if dropped:
        yield Finding(f'{path}: the classes of {loader} leave out {some(dropped)}', 'note')
    labels = [coco.cats[number]['name'] for number in getattr(opened.dataset, 'cat_ids', ())]
    if sorted(labels) == sorted(classes) and labels != classes:
        first = next(
            i for i, names in enumerate(zip(labels, classes, strict=True)) if len({*names}) > 1
        )
        yield Finding(
            f'{path}: mmdet numbers labels in the order of the file, which from label {first} on '
            f'is {some(labels[first:], 6)}, but the classes of {loader} are '
            f'{some(classes[first:], 6)}: names would be mixed up; write classes in the order of '
            f'the file' + (f': {tuple(labels)}' if len(labels) < 9 else '')
        )


def annotation_flaws(coco, masks):
    """{flaw: [annotations that have it]} of a COCO file; `masks` are read from it or not."""
    found = defaultdict(list)
    for each in coco.dataset.get('annotations', ()):
        image = coco.imgs.get(each['image_id'])
        flaw = annotation_flaw(each, image, coco.cats, masks)
        if flaw:
            where = image.get('file_name', image['id']) if image else f'image_id {each["image_id"]}'
            found[flaw].append(f'annotation {each["id"]} of {where}')
    return found


def flaw_findings(path, flaws, count):
    """A sentence for each flaw: those that mmdet leaves out are notes unless they are all."""
    for flaw, those in flaws.items():
        left_out = flaw in (EMPTY, OUTSIDE) or (
            flaw in (NO_IMAGE, NO_CATEGORY) and len(those) < count
        )
        text = f'{path}: {len(those)} annotations are {flaw} ({some(those, 2)})'
        end = '; mmdet leaves them out' if left_out else '; mend or remove them'
        yield Finding(text + end, 'note' if left_out else 'fault')


def annotation_flaw(annotation, image, categories, masks):
    """What an annotation is if it is not sound, or None."""
    if image is None:
        return NO_IMAGE
    if annotation.get('ignore'):
        return None
    if annotation['category_id'] not in categories:
        return NO_CATEGORY
    box, area = annotation.get('bbox'), annotation.get('area')
    if not (finite(box) and len(box) == 4 and finite([area])):
        return 'without a bbox of four numbers or without area'
    size = image.get('width'), image.get('height')
    if not finite(size):
        return 'of an image whose width and height are no numbers'
    x, y, w, h = box
    if w < 1 or h < 1 or area <= 0:
        return EMPTY
    if min(x + w, size[0]) <= max(x, 0) or min(y + h, size[1]) <= max(y, 0):
        return OUTSIDE
    return mask_flaw(annotation.get('segmentation'), *size) if masks else None


def finite(numbers):
    """Whether it is a list of numbers without NaN and infinity, which their sum would have, too."""
    try:
        return isinstance(numbers, list | tuple) and abs(sum(numbers)) < 1e12
    except (TypeError, OverflowError):  # texts; numbers of hundreds of digits
        return False


def mask_flaw(mask, width, height):
    """What an annotation is because of its mask, or None; nothing of it is decoded."""
    if not mask:
        return 'without the segmentation that with_mask=True reads'
    if isinstance(mask, list):
        sound = all(finite(p) and len(p) >= 6 and len(p) % 2 == 0 for p in mask)
        return None if sound else 'with a polygon that is no list of x, y of 3 points or more'
    size, counts = (mask.get('size'), mask.get('counts')) if isinstance(mask, dict) else (0, 0)
    if not isinstance(counts, list | str) or size != [height, width]:
        return 'with a mask that is no polygons and no RLE of the size of the image'
    total = compressed_sum(counts) if isinstance(counts, str) else plain_sum(counts)
    return None if total == height * width else 'with an RLE whose counts do not fill the image'


def plain_sum(counts):
    """The sum of the counts of an RLE, or None if they are no counts."""
    return sum(counts) if finite(counts) and min(counts, default=-1) >= 0 else None


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


def instance_findings(opened):
    """Instances of any dataset of mmdet whose boxes are none or whose labels no class has."""
    count, found = len(opened.classes), defaultdict(list)
    for entry in opened.dataset.data_list:
        for number, each in enumerate(entry.get('instances') or ()):
            box, label = each.get('bbox', ()), each.get('bbox_label', 0)
            inverted = len(box) == 4 and (box[2] < box[0] or box[3] < box[1])
            if not finite([*box]) or inverted:
                flaw = 'without a box of finite numbers'
            elif count and not each.get('ignore_flag') and not 0 <= label < count:
                flaw = f'of a label beyond the {count} classes of {opened.loader}'
            else:
                continue
            found[flaw].append(f'number {number} of {entry.get("img_path")}')
    where = opened.dataset.ann_file or opened.loader
    yield from flaw_findings(where, found, 0)


def class_findings(cfg, datasets):
    """Loaders with other classes than the first, and a model for another number of them."""
    if not datasets:
        return
    first, *others = datasets
    for other in others:
        if other.classes != first.classes and other.loader != first.loader:
            yield Finding(
                f'{other.loader} has {len(other.classes)} classes ({some(other.classes)}), but '
                f'{first.loader} has {len(first.classes)} ({some(first.classes)}); give both the '
                f'same metainfo'
            )
    text = first.dataset.metainfo['classes']
    if isinstance(text, str):
        yield Finding(f'the classes of {first.loader} are the text {text!r}; write ({text!r},)')
    elif cfg.get('model'):
        yield from model_findings(cfg, first.dataset, first.loader)


class OnCpu(TorchFunctionMode):
    """Numbers that constructors read stay on the CPU while a model is built on meta."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.linspace, torch.tensor):
            kwargs['device'] = 'cpu'
        return function(*args, **kwargs)


def model_findings(cfg, dataset, loader):
    """Heads and weights of classes that do not fit the classes of a dataset."""
    count = len(dataset.metainfo['classes'])
    try:
        with in_scope(cfg.get('default_scope'), 'models'), torch.device('meta'), OnCpu():
            model = MODELS.build(deepcopy(cfg.model))
            heads = [*wrong_heads(model, dataset)]
    except Exception as error:  # whatever a constructor raises; a training would say it at length
        yield Finding(f'the heads of the model ({brief(error)})', 'not looked at')
        return
    for where, found in heads:
        names = some(dataset.metainfo['classes'])
        yield Finding(
            f'model.{where} is {found}, but {loader} has {count} classes ({names}); set it to '
            f'{count}, or metainfo.classes of the dataset'
        )
    yield from weight_findings(model)


def wrong_heads(model, dataset):
    """(key, its value) of the heads of a model on meta that do not count a dataset's classes."""
    count, parts = len(dataset.metainfo['classes']), dict(model.named_modules())
    panoptic = {k: v for k, v in parts.items() if hasattr(v, 'num_stuff_classes')}
    if hasattr(model, 'decode_head'):
        for name, part in parts.items():
            if name.startswith(('decode_head', 'auxiliary_head')) and hasattr(part, 'num_classes'):
                if part.num_classes != count and not makes_its_own_targets(part, name):
                    yield f'{name}.num_classes', part.num_classes
    elif panoptic:
        for name, part in panoptic.items():
            found = part.num_things_classes + part.num_stuff_classes
            if found != count:
                yield f'{name}.num_things_classes and num_stuff_classes', found
    elif type(model).__name__ != 'RPN' and not hasattr(model, 'language_model'):
        yield from refused_by_mmdet(parts, dataset)


def makes_its_own_targets(head, name):
    """Whether an auxiliary head has other targets than the map, as STDC's has borders."""
    plain = import_modules_from_strings('mmseg.models.decode_heads.decode_head').BaseDecodeHead
    loss = getattr(head, 'loss_by_feat', None)
    return (
        name.startswith('auxiliary') and getattr(loss, '__func__', None) is not plain.loss_by_feat
    )


def refused_by_mmdet(parts, dataset):
    """(key, its value) of the modules that the hook of mmdet for it refuses, one at a time."""
    hook = import_modules_from_strings('mmdet.engine.hooks').NumClassCheckHook()
    loader = SimpleNamespace(dataset=dataset)
    for name, part in parts.items():
        if hasattr(part, 'num_classes') and 'rpn_head' not in name:  # nor its stages
            alone = SimpleNamespace(named_modules=lambda: [(name, part)])  # noqa: B023
            try:
                hook._check_head(SimpleNamespace(model=alone, train_dataloader=loader), 'train')
            except AssertionError:
                yield f'{name}.num_classes', part.num_classes


def weight_findings(model):
    """Weights of classes that are of another number than those of their head."""
    parts = dict(model.named_modules())
    for name, part in parts.items():
        weight = getattr(part, 'class_weight', None)
        above = [name.rsplit('.', i)[0] for i in range(1, name.count('.') + 1)]
        head = next((parts[k] for k in above if hasattr(parts[k], 'num_classes')), None)
        if hasattr(weight, '__len__') and head is not None:
            count = head.num_classes
            if len(weight) not in (count, count + 1, getattr(head, 'out_channels', count)):
                yield Finding(
                    f'model.{name}.class_weight has {len(weight)} numbers, but its head has {count} '
                    f'classes; give one for each (and one for the background if it has one)'
                )


def evaluator_findings(cfg, split, datasets):
    """An evaluator that reads another annotation file than its loader, or one that it misreads."""
    files = [each.dataset.ann_file for each in datasets if each.dataset.ann_file]
    if not files or any('Panoptic' in type_name(each.settings) for each in datasets):
        return  # things are evaluated with a file of their own
    real = {os.path.realpath(path) for path in files}
    for each in as_list(cfg.get(f'{split}_evaluator') or []):
        path = each.get('ann_file') if isinstance(each, dict) else None
        if not path:
            continue
        wanted = f'{split}_dataloader reads {", ".join(files)}; set both to one file'
        if not there(path, each):
            yield Finding(f'{split}_evaluator.ann_file: there is no {path}, and {wanted}')
        elif os.path.realpath(path) not in real:
            yield Finding(f'{split}_evaluator.ann_file is {path}, but {wanted}')
        elif scores_as_coco(each, cfg.get('default_scope')):
            yield from (finding for opened in datasets for finding in scored_findings(opened))


def scores_as_coco(evaluator, scope):
    """Whether the API of COCO scores against the file of an evaluator."""
    with in_scope(scope):
        kind = evaluator.type if isinstance(evaluator.type, type) else METRICS.get(evaluator.type)
    names = [each.__name__ for each in getattr(kind, '__mro__', ())]
    return 'CocoMetric' in names and not evaluator.get('format_only')


def scored_findings(opened):
    """Annotations that the API of COCO cannot score, though they are fit for a training."""
    found = opened.coco.dataset.get('annotations', ()) if opened.coco else ()
    path = opened.dataset.ann_file
    if any(each.get('id') == 0 for each in found):
        yield Finding(
            f'{path}: an annotation has the id 0, which the API of COCO takes for none when it '
            f'scores, so that a right box counts as a wrong one; number them from 1'
        )
    lacking = [f'annotation {each.get("id")}' for each in found if 'iscrowd' not in each]
    if lacking:
        yield Finding(
            f'{path}: {len(lacking)} annotations lack iscrowd ({some(lacking)}), which the API of '
            f'COCO reads when it scores; write 0'
        )


def image_findings(opened, scope, progress):
    """What the images and maps of a dataset show, read by the first steps of its pipeline."""
    entries = getattr(opened.dataset, 'data_list', ())
    if opened.error or not entries:
        return  # which the quick look says
    try:
        with in_scope(scope):
            steps = [TRANSFORMS.build(dict(step)) for step in opened.steps('Load')]
    except Exception as error:  # whatever a constructor raises
        yield opened.unseen(error)
        return
    if not steps or not isinstance(entries[0].get('img_path'), str):
        yield opened.unseen('its pipeline has no step that loads an image')
        return
    seen = set()
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda index: look(opened, index, steps, seen), range(len(entries)))
        for text in progress(found, f'{opened.loader}: images', total=len(entries)):
            if text:
                yield printable(Finding(text))
    yield from map(printable, unused_classes(opened, seen))


def look(opened, index, steps, seen):
    """A sentence about an image or its map, or None; the numbers of the map are added to `seen`."""
    info = opened.dataset.get_data_info(index)
    info['instances'] = []  # which are numbers, and looked at
    for step in steps:
        try:
            path = info['img_path'] if 'img' not in info else info.get('seg_map_path')
            info = step(info)
            assert info is not None
        except Exception as error:  # whatever readers raise
            return unreadable_image(path, error, step, 'img' in (info or ()), opened)
    stated = info.get('height'), info.get('width')
    shape = info['img'].shape[:2]
    source = opened.dataset.get_data_info(index).get('xml_path') or opened.dataset.ann_file
    if None not in stated and shape != tuple(stated):
        return (
            f'{info["img_path"]} is {shape[1]} x {shape[0]}, but {source} says '
            f'{stated[1]} x {stated[0]}; write the real size, or turn the image'
        )
    return map_fault(info, opened, seen) if 'gt_seg_map' in info else None


def unreadable_image(path, error, step, is_map, opened):
    """A sentence about an image or a map that a step of the pipeline failed at."""
    client = opened.settings if is_map else step.__dict__
    if is_map:
        return f'{path} is no map that can be read ({brief(error)}); expected one for its image'
    if isinstance(error, FileNotFoundError):
        return f'there is no image {path}; bring it, or remove it from the annotations'
    if not there(path, client) or os.path.isfile(path) and not os.path.getsize(path):
        return f'{path} is empty, expected an image; bring it anew'
    reader = getattr(step, 'imdecode_backend', type(step).__name__).replace('cv2', 'OpenCV')
    return f'{path} is no image that {reader} can read ({brief(error)}); bring it anew'


def map_fault(info, opened, seen):
    """A sentence about the map of an image as it was loaded, or None."""
    dataset, labels, path = opened.dataset, info['gt_seg_map'], info['seg_map_path']
    if labels.ndim != 2:
        return (
            f'{path} has {labels.shape[2]} channels, expected one with a class number for each '
            f'pixel; convert its colours to numbers'
        )
    sizes = labels.shape[::-1], info['img'].shape[1::-1]
    if sizes[0] != sizes[1]:
        found, wanted = (f'{width} x {height}' for width, height in sizes)
        return (
            f'{path} is {found}, but its image {info["img_path"]} is {wanted}; they must have one '
            f'size'
        )
    numbers = np.unique(labels).tolist()
    seen.update(numbers)
    count, ignored = len(opened.classes), getattr(dataset, 'ignore_index', 255)
    first = int(bool(getattr(dataset, 'reduce_zero_label', False)))  # 0 is then unlabelled
    odd = [str(number + first) for number in numbers if number >= count and number != ignored]
    if count and odd:
        return (
            f'{path} has the numbers {some(odd)}, but classes are {first} to {count + first - 1}, '
            f'and {ignored} is ignored; renumber them, or see metainfo.classes and '
            f'reduce_zero_label'
        )
    return None


def unused_classes(opened, seen):
    """A fault where maps have nothing but 0 and what is ignored; a note on classes that none has."""
    ignored = getattr(opened.dataset, 'ignore_index', 255)
    unused = [name for number, name in enumerate(opened.classes) if number not in seen]
    if seen and len(opened.classes) > 1 and ignored in seen and seen <= {0, ignored}:
        yield Finding(
            f'{opened.loader}: all maps have 0 and {ignored} alone, and {ignored} is ignored, so '
            f'that no pixel is of {some(unused)}; write the numbers of the classes into the maps'
        )
    elif seen and unused:
        yield Finding(f'{opened.loader}: no map has a pixel of {some(unused)}', 'note')
