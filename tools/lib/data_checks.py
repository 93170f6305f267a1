"""What is wrong with the data of a config: one sentence for each fault, with file, found, expected.

mm builds the datasets, reads them and loads the images; what it then has, or fails with, is said in
a sentence. A `Finding` is a fault, which stops a training or spoils it; a note on what is left out
in silence, which may be meant; or what could not be looked at.
"""

import contextlib
import io
import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import chain, islice
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
SHORT = 'with a polygon of less than 3 points, or of half a point, beside sound ones'
OTHERS = {'backbone', 'reid', 'rpn_head', 'teacher_model'}  # parts with classes of their own
LEFT_OUT = (EMPTY, OUTSIDE, SHORT)  # by mmdet, in silence
in_scope = DefaultScope.overwrite_default_scope
STRAY = 'of no image in the file', 'of no category in the file'
FOLDERS = dict(img='folder of images', img_path='folder of images')


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
    dataset: Any
    coco: Any
    error: Exception | None = None

    @property
    def classes(self):
        """The names of its classes, or an empty list."""
        return list(getattr(self.dataset, 'metainfo', {}).get('classes') or ())

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
    dataset, files, failed = None, [], None
    try:
        with in_scope(scope), contextlib.redirect_stdout(io.StringIO()):
            dataset = DATASETS.build(dict(settings, lazy_init=True, pipeline=[]))
            if hasattr(dataset, 'COCOAPI'):
                dataset.COCOAPI = kept_in(files, dataset.COCOAPI)
            dataset.serialize_data = False
            dataset.full_init()
    except Exception as error:  # whatever mm and its readers raise
        failed = error
    return Opened(loader, settings, dataset, files[0] if files else None, failed)


def kept_in(files, api):
    """An API of pycocotools whose content is kept, which mmdet deletes when it has read it."""

    class Kept(api):
        def createIndex(self):
            files.append(self)
            super().createIndex()

    return Kept


def quick_findings(cfg, loaders, datasets=None):
    """What annotation files, names and numbers show without a look into an image."""
    datasets = open_datasets(cfg, loaders) if datasets is None else datasets
    readable = [opened for opened in datasets if not opened.error]
    parts = [
        *map(dataset_findings, datasets),
        class_findings(cfg, [opened for opened in datasets if opened.classes]),
        *(evaluator_findings(cfg, split, readable) for split in ('val', 'test')),
    ]
    yield from map(printable, chain.from_iterable(parts))


def printable(finding):
    """A finding without what would command a terminal."""
    text = ''.join(c if c.isprintable() else '?' for c in finding.text)
    return finding._replace(text=text)


def dataset_findings(opened):
    """Why mm cannot read a dataset, or what of it is wrong."""
    dataset, error = opened.dataset, opened.error
    absent = isinstance(error, ImportError | RuntimeError) and not isinstance(error, RecursionError)
    foreign = isinstance(error, AttributeError | KeyError | TypeError)  # none of mm's, or no class
    if absent or (foreign and not hasattr(dataset, 'data_list')):
        yield opened.unseen(error)
    elif isinstance(error, OSError | AssertionError) and (lost := missing(opened)):
        yield lost
    else:
        coco = opened.coco or (error and hasattr(dataset, 'COCOAPI'))
        found = [*(coco_findings if coco else instance_findings)(opened)]
        if error and not any(each.is_fault for each in found):
            where = getattr(dataset, 'ann_file', '') or f'the data of {opened.loader}'
            reason = f'{type(error).__name__}: {brief(error)}'
            found.append(
                Finding(f'{where}: {type_name(opened.settings)} cannot read it ({reason})')
            )
        yield from found
        if not error:
            yield from file_findings(opened)


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
    what = FOLDERS.get(key.rpartition('.')[2], 'folder') if '.' in key else plain
    return Finding(f'{loader}: there is no {what} {path}; set {key} and data_root')


def there(path, settings):
    """Whether a file or folder exists; of a store whose client is not installed, nobody knows."""
    try:
        return fileio.exists(path, backend_args=settings.get('backend_args'))
    except Exception:  # of any client
        return True


def file_findings(opened):
    """Images that are not where they should be or have another suffix, or that lack their map."""
    dataset, entries = opened.dataset, opened.dataset.data_list
    paths = [e['img_path'] for e in islice(entries, 20) if isinstance(e.get('img_path'), str)]
    reader = next(iter(opened.steps('LoadImage')), opened.settings)
    if paths and not any(there(path, reader) for path in paths):
        yield missing(opened) or Finding(
            f'{opened.loader}: there is no image {paths[0]}; set data_prefix and data_root'
        )
        return
    if hasattr(dataset, 'img_suffix') and not dataset.ann_file:
        yield from suffix_findings(opened)
    elif not entries and not opened.coco:
        yield Finding(f'{opened.loader}: {type_name(opened.settings)} has no image')
    if hasattr(dataset, 'img_suffix') and opened.steps('LoadAnnotations'):
        near = not opened.settings.get('backend_args')  # else a request for each
        maps = [each.get('seg_map_path') for each in (entries if near else entries[:20])]
        lacking = [str(path) for path in maps if not path or not there(path, opened.settings)]
        if lacking:
            yield Finding(
                f'{opened.loader}: {len(lacking)} of {len(maps)} images have no map '
                f'({some(lacking, 2)}); expected one of the same name, ending in '
                f'{dataset.seg_map_suffix}: see seg_map_suffix and data_prefix.seg_map_path'
            )


def suffix_findings(opened):
    """Images that `img_suffix` leaves out: all of a folder, which is a fault, or some."""
    dataset, folder = opened.dataset, opened.dataset.data_prefix['img_path']
    options = dict(list_dir=False, recursive=True, backend_args=opened.settings.get('backend_args'))
    ends = Counter(
        os.path.splitext(name)[1]
        for name in fileio.list_dir_or_file(folder, **options)
        if not name.endswith(dataset.img_suffix)
    )
    if dataset.data_prefix.get('seg_map_path') == folder:
        ends.pop(dataset.seg_map_suffix, None)
    images = Image.registered_extensions()
    left = some(f'{n} {end}' for end, n in ends.most_common() if end.lower() in images)
    if not dataset.data_list:
        yield Finding(
            f'{opened.loader}: {folder} has no image that ends in {dataset.img_suffix}, but '
            f'{left or "nothing"}; set img_suffix, or data_prefix.img_path to their folder'
        )
    elif left:
        suffix = f'img_suffix={dataset.img_suffix}'
        yield Finding(f'{opened.loader}: {folder} has {left}, which {suffix} leaves out', 'note')


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


def flaw_findings(path, flaws, count):
    """A sentence for each flaw: those that mmdet leaves out are notes unless it leaves out all."""
    for flaw, those in flaws.items():
        left_out = flaw in LEFT_OUT or (flaw in STRAY and len(those) < count)
        end = 'mmdet leaves them out' if left_out else 'mend or remove them'
        text = f'{path}: {len(those)} annotations are {flaw} ({some(those, 2)}); {end}'
        yield Finding(text, 'note' if left_out else 'fault')


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


def instance_findings(opened):
    """Instances of any dataset of mmdet whose boxes are none or whose labels no class has."""
    count, found = len(opened.classes), defaultdict(list)
    for entry in getattr(opened.dataset, 'data_list', ()):
        for number, each in enumerate(entry.get('instances') or ()):
            box, label = each.get('bbox'), each.get('bbox_label')
            known = isinstance(box, list | tuple)  # else boxes of another kind
            upright = known and finite(box) and len(box) == 4
            turned = upright and (box[2] < box[0] or box[3] < box[1])
            if (known and not finite(box)) or turned:
                flaw = 'without a box of finite numbers'
            elif count and isinstance(label, int) and label >= count:
                flaw = f'of a label beyond the {count} classes of {opened.loader}'
            else:
                continue
            found[flaw].append(f'number {number} of {entry.get("img_path")}')
    where = getattr(opened.dataset, 'ann_file', '') or opened.loader
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
    try:
        with in_scope(cfg.get('default_scope')), torch.device('meta'), OnCpu():
            model = MODELS.build(deepcopy(cfg.model))
            if hasattr(model, 'language_model') or hasattr(model, 'text_encoder'):
                raise TypeError(f'{type(model).__name__} reads the names of classes')
            found = [*head_findings(model, dataset, loader), *weight_findings(model)]
    except Exception as error:  # whatever a constructor raises; a training would say it at length
        found = [Finding(f'the heads of the model ({brief(error)})', 'not looked at')]
    yield from found


def head_findings(model, dataset, loader):
    """Heads of a model on meta that count other classes than those of a dataset."""
    classes, parts = dataset.metainfo['classes'], dict(model.named_modules())
    wrong = {}
    if hasattr(model, 'decode_head'):
        heads = {k: v.num_classes for k, v in parts.items() if is_segmentation_head(k, v)}
        wrong = {f'{k}.num_classes': n for k, n in heads.items() if n != len(classes)}
    elif panoptic := {k: v for k, v in parts.items() if hasattr(v, 'num_stuff_classes')}:
        counts = {k: v.num_things_classes + v.num_stuff_classes for k, v in panoptic.items()}
        both = 'num_things_classes and num_stuff_classes'
        wrong = {f'{k}.{both}': n for k, n in counts.items() if n != len(classes)}
    elif type(model).__name__ != 'RPN':  # which finds objects of any class
        wrong = {f'{k}.num_classes': n for k, n in refused_by_mmdet(parts, dataset)}
    for where, count in wrong.items():
        yield Finding(
            f'model.{where} is {count}, but {loader} has {len(classes)} classes ({some(classes)}); '
            f'set it to {len(classes)}, or metainfo.classes of the dataset'
        )


def is_segmentation_head(name, part):
    """Whether a part of a segmenter learns the classes: STDC has an auxiliary head for borders."""
    plain = import_modules_from_strings('mmseg.models.decode_heads.decode_head').BaseDecodeHead
    learns = getattr(type(part), 'loss_by_feat', None) is plain.loss_by_feat
    return hasattr(part, 'num_classes') and (
        name.startswith('decode_head') or (name.startswith('auxiliary_head') and learns)
    )


def refused_by_mmdet(parts, dataset):
    """(name, count) of the modules that the hook of mmdet for it refuses, one at a time."""
    hook = import_modules_from_strings('mmdet.engine.hooks').NumClassCheckHook()
    loader = SimpleNamespace(dataset=dataset)
    for name, part in parts.items():
        if hasattr(part, 'num_classes') and not OTHERS & set(name.split('.')):
            alone = SimpleNamespace(named_modules=lambda: [(name, part)])  # noqa: B023
            try:
                hook._check_head(SimpleNamespace(model=alone, train_dataloader=loader), 'train')
            except AssertionError:
                yield name, part.num_classes


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
                    f'model.{name}.class_weight has {len(weight)} numbers, but its head has '
                    f'{count} classes; give one for each (and one for the background if it has one)'
                )


def evaluator_findings(cfg, split, datasets):
    """An evaluator that reads another annotation file than its loader, or one that it misreads."""
    loader = f'{split}_dataloader'
    datasets = [each for each in datasets if each.loader == loader and each.dataset.ann_file]
    if not datasets or any('Panoptic' in type_name(each.settings) for each in datasets):
        return  # things are evaluated with a file of their own
    files = {os.path.realpath(each.dataset.ann_file): each.dataset.ann_file for each in datasets}
    wanted = f'{loader} reads {", ".join(files.values())}; set both to one file'
    for each in as_list(cfg.get(f'{split}_evaluator') or []):
        path = each.get('ann_file') if isinstance(each, dict) else None
        if path and not there(path, each):
            yield Finding(f'{split}_evaluator.ann_file: there is no {path}, and {wanted}')
        elif path and os.path.realpath(path) not in files:
            yield Finding(f'{split}_evaluator.ann_file is {path}, but {wanted}')
        elif path and scores_as_coco(each, cfg.get('default_scope')):
            yield from chain.from_iterable(map(scored_findings, datasets))


def scores_as_coco(evaluator, scope):
    """Whether the API of COCO scores against the file of an evaluator."""
    with in_scope(scope), METRICS.switch_scope_and_registry(None) as registry:
        kind = evaluator.type if isinstance(evaluator.type, type) else registry.get(evaluator.type)
    names = [each.__name__ for each in getattr(kind, '__mro__', ())]
    return 'CocoMetric' in names and not evaluator.get('format_only')


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
    entry = opened.dataset.get_data_info(index)
    info = dict(entry, instances=[])  # which are numbers, and looked at
    for step in steps:
        is_map = 'img' in info
        if is_map and not entry.get('seg_map_path'):
            break
        try:
            info = step(info)
            assert info is not None
        except Exception as error:  # whatever readers raise
            path = entry['seg_map_path' if is_map else 'img_path']
            return unreadable_image(path, error, step, is_map)
    found, stated = info['ori_shape'], (entry.get('height'), entry.get('width'))
    if None not in stated and tuple(found) != stated:
        source = entry.get('xml_path') or opened.dataset.ann_file
        return (
            f'{entry["img_path"]} is {sides(found)}, but {source} says {sides(stated)}; write the '
            f'real size, or turn the image'
        )
    return map_fault(info, opened, seen) if 'gt_seg_map' in info else None


def unreadable_image(path, error, step, is_map):
    """A sentence about an image or a map that a step of the pipeline failed at."""
    if is_map:
        return f'{path} is no map that can be read ({brief(error)}); expected one for its image'
    if isinstance(error, FileNotFoundError):
        return f'there is no image {path}; bring it, or remove it from the annotations'
    if os.path.isfile(path) and not os.path.getsize(path):
        return f'{path} is empty, expected an image; bring it anew'
    reader = getattr(step, 'imdecode_backend', type(step).__name__).replace('cv2', 'OpenCV')
    return f'{path} is no image that {reader} can read ({brief(error)}); bring it anew'


def sides(shape):
    """'640 x 480' for a (height, width)."""
    return ' x '.join(map(str, reversed(shape)))


def map_fault(info, opened, seen):
    """A sentence about the map of an image as it was loaded, or None."""
    dataset, labels, path = opened.dataset, info['gt_seg_map'], info['seg_map_path']
    size = tuple(info['ori_shape'])
    if labels.ndim > len(size):
        return (
            f'{path} has {labels.shape[-1]} channels, expected one with a class number for each '
            f'pixel; convert its colours to numbers'
        )
    if labels.shape != size:
        return (
            f'{path} is {sides(labels.shape)}, but its image {info["img_path"]} is {sides(size)}; '
            f'they must have one size'
        )
    numbers = np.unique(labels).tolist()
    if not hasattr(dataset, 'img_suffix'):  # of mmdet, where a head has classes of its own for it
        return None
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
    """Classes that no map has: a fault if maps have nothing but 0 and what is ignored."""
    ignored = getattr(opened.dataset, 'ignore_index', 255)
    unused = [name for number, name in enumerate(opened.classes) if number not in seen]
    if seen and len(opened.classes) > 1 and ignored in seen and seen <= {0, ignored}:
        yield Finding(
            f'{opened.loader}: all maps have 0 and {ignored} alone, and {ignored} is ignored, so '
            f'that no pixel is of {some(unused)}; write the numbers of the classes into the maps'
        )
    elif seen and unused:
        yield Finding(f'{opened.loader}: no map has a pixel of {some(unused)}', 'note')
