"""The datasets of a config as mm builds and reads them, and what is said of them."""

import contextlib
import io
from collections import defaultdict
from typing import Any, NamedTuple

from mmengine import fileio
from mmengine.registry import DATASETS, DefaultScope
from mmengine.utils import is_abs

from mmbackbones.weights.errors import brief, some

SOURCES = {  # of the data that our configs are for, by data_root
    'data/coco': 'download train2017, val2017 and annotations from https://cocodataset.org/#download',
    'data/ade/ADEChallengeData2016': 'download ADEChallengeData2016 from '
    'https://groups.csail.mit.edu/vision/datasets/ADE20K',
}
EMPTY, OUTSIDE = 'empty: smaller than a pixel', 'outside of their image'
SHORT = 'with a polygon of less than 3 points, or of half a point, beside sound ones'
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
    """The name of the class of settings, which may hold the class itself, without its scope."""
    kind = settings.get('type') if isinstance(settings, dict) else type(settings)
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]


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


def flaw_findings(path, flaws, count):
    """A sentence for each flaw: those that mmdet leaves out are notes unless it leaves out all."""
    for flaw, those in flaws.items():
        left_out = flaw in LEFT_OUT or (flaw in STRAY and len(those) < count)
        end = 'mmdet leaves them out' if left_out else 'mend or remove them'
        text = f'{path}: {len(those)} annotations are {flaw} ({some(those, 2)}); {end}'
        yield Finding(text, 'note' if left_out else 'fault')


def finite(numbers):
    """Whether it is a list of numbers without NaN and infinity, which their sum would have, too."""
    try:
        return isinstance(numbers, list | tuple) and abs(sum(numbers)) < 1e12
    except (TypeError, OverflowError):  # texts; numbers of hundreds of digits
        return False


def printable(finding):
    """A finding without what would command a terminal."""
    return finding._replace(text=brief(finding.text, 2000))


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
