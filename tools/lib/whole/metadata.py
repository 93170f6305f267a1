"""What a program must know to use a file of a whole model, as the JSON that is written into it."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import mmbackbones
from lib.drawing import steps_of
from lib.whole.pipeline import named, test_dataset

FORMAT = 1  # of the JSON; readers refuse what they do not know
KEY = 'mmbackbones'
PACKAGES = ('mmengine', 'mmcv', 'mmdet', 'mmsegmentation')


def describe(whole, cfg, path, size=None, batch=1):
    """The metadata of a whole model, as plain values.

    Args:
        whole: The `WholeModel`.
        cfg: Its config, whose test dataset tells classes, colours and how pictures are scaled.
        path: The file of the config.
        size: The only (height, width) that the file takes, if it takes one alone.
        batch: The number of pictures that it takes at a time.
    """
    picture, dataset = whole.picture, test_dataset(cfg)
    meta = {} if dataset is None else dataset.metainfo
    classes = list(meta.get('classes') or ())
    return dict(
        format=FORMAT,
        task=whole.task,
        masks=whole.masks,
        classes=classes,
        palette=[list(map(int, colour)) for colour in meta.get('palette') or ()][: len(classes)],
        mean=picture.mean.flatten().tolist(),
        std=picture.std.flatten().tolist(),
        channels=picture.channels,
        resize=resizing([] if dataset is None else steps_of(dataset)),
        size_divisor=picture.size_divisor,
        score_threshold=whole.score_threshold,
        mask_threshold=whole.mask_threshold,
        size=list(size) if size else None,
        batch=batch,
        config=Path(path).stem,
        model=type(whole.model).__name__,
        versions=versions(),
    )


def resizing(steps):
    """How pictures are scaled before they are given to the file: `scale` is [width, height]."""
    step = named(steps, 'Resize', 'ResizeShortestEdge')
    if step is None:
        return dict(scale=None, keep_ratio=True, interpolation='bilinear')
    if hasattr(step, 'max_size'):  # of the longer edge
        scale = [step.max_size, step.scale]
        return dict(scale=scale, keep_ratio=True, interpolation=step.resize.interpolation)
    scale = list(step.scale) if step.scale else None
    return dict(scale=scale, keep_ratio=step.keep_ratio, interpolation=step.interpolation)


def versions():
    """The versions of the packages that wrote a file."""
    found = dict(mmbackbones=mmbackbones.__version__, torch=torch.__version__)
    for name in PACKAGES:
        for distribution in (f'onedl-{name.replace("mmdet", "mmdetection")}', name):
            try:
                found[name] = version(distribution)
                break
            except PackageNotFoundError:
                continue
    return found
