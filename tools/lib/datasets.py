"""The datasets of a config, as mm builds and reads them."""

import contextlib
import io
from dataclasses import dataclass
from typing import Any, NamedTuple

from mmengine import fileio
from mmengine.registry import DATASETS, DefaultScope

from mmbackbones.weights.errors import truncate

SOURCES = {  # of the data that our configs are for, by data_root
    'data/coco': 'download train2017, val2017 and annotations from https://cocodataset.org/#download',
    'data/ade/ADEChallengeData2016': 'download ADEChallengeData2016 from '
    'https://groups.csail.mit.edu/vision/datasets/ADE20K',
}
in_scope = DefaultScope.overwrite_default_scope


class Finding(NamedTuple):
    """A sentence, and whether it is a fault, a note, or about what was not looked at."""

    text: str
    kind: str = 'fault'

    @property
    def is_fault(self):
        """Whether it stops a training or spoils it."""
        return self.kind == 'fault'

    @property
    def printable(self):
        """The sentence without what would command a terminal."""
        return truncate(self.text, 2000)


@dataclass
class Opened:
    """A dataset of a loader that mm has built and read, or the error that mm failed with."""

    loader: str
    settings: dict
    dataset: Any = None
    coco: Any = None  # the content of its file, if that is read by COCO's API
    error: Exception | None = None

    @property
    def source(self):
        """Its annotation file, or else its loader: what sentences about it begin with."""
        return getattr(self.dataset, 'ann_file', '') or self.loader

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
        return Finding(f'{name} of {self.loader} ({truncate(reason)})', 'not looked at')


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


def open_datasets(cfg, loaders):
    """Every dataset of some loaders, as mm builds it and reads it."""
    return [
        open_dataset(settings, loader, cfg.get('default_scope'))
        for loader in loaders
        if isinstance(cfg.get(loader), dict)
        for settings in inner_datasets(cfg[loader].dataset)
    ]


def open_dataset(settings, loader, scope):
    """A dataset as mm reads it, with its images filtered as for training."""
    opened = Opened(loader, settings)
    try:
        with in_scope(scope), contextlib.redirect_stdout(io.StringIO()):
            opened.dataset = DATASETS.build(dict(settings, lazy_init=True, pipeline=[]))
            if hasattr(opened.dataset, 'COCOAPI'):
                keep_coco(opened)
            opened.dataset.serialize_data = False
            opened.dataset.full_init()
    except Exception as error:  # whatever mm and its readers raise
        opened.error = error
    return opened


def keep_coco(opened):
    """Keep the content of a COCO file, which mmdet deletes when it has read it."""

    class Kept(opened.dataset.COCOAPI):
        def createIndex(self):
            opened.coco = self
            super().createIndex()

    opened.dataset.COCOAPI = Kept


def missing_file(opened):
    """The finding for the first file or folder of a dataset that is not there, or None."""
    dataset, settings, loader = opened.dataset, opened.settings, opened.loader
    prefixes = {f'data_prefix.{key}': path for key, path in dataset.data_prefix.items()}
    paths = dict(ann_file=dataset.ann_file) | prefixes
    lost = [key for key, path in paths.items() if path and not exists(path, settings)]
    if not lost:
        return None
    key, root = lost[0], str(settings.get('data_root') or '').rstrip('/')
    if root in SOURCES:
        return Finding(
            f'{paths[key]} is missing: {SOURCES[root]} and unpack into {root}, set '
            f'{loader}.dataset.data_root, or try the demo set with --demo'
        )
    return Finding(f'{loader}: there is no {paths[key]}; set {key} and data_root')


def exists(path, settings):
    """Whether a file or folder exists; of a store whose client is not installed, nobody knows."""
    try:
        return fileio.exists(path, backend_args=settings.get('backend_args'))
    except Exception:  # of any client
        return True
