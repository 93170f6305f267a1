"""The pipelines of any config, made to load what the demo set has, and to resize it once."""

from mmengine.config import ConfigDict

from demo.model import name_of

PACKERS = {'mmdet': 'PackDetInputs', 'mmseg': 'PackSegInputs'}
# Transforms that stay, in this order; all others resize, crop or distort.
TRAINING = ('LoadImageFromFile', 'LoadAnnotations', 'RandomFlip', 'Resize', 'GenerateEdge')
TESTING = ('LoadImageFromFile', 'Resize', 'RandomCenterCropPad', 'LoadAnnotations')
# Settings of transforms and metrics that suit other files than those of the demo set.
FOREIGN = {'backend_args', 'file_client_args', 'imdecode_backend', 'reduce_zero_label', 'with_seg'}
FOREIGN |= {'format_only', 'outfile_prefix', 'output_dir', 'prefix', 'ignore_index'}


def steps_of(dataset):
    """The steps of a dataset's pipeline, after those of the first dataset that it wraps."""
    inner = dataset.datasets[0] if 'datasets' in dataset else dataset.get('dataset')
    return [*(steps_of(inner) if inner else []), *(dataset.get('pipeline') or [])]


def small_pipeline(model, scope, steps, training, size):
    """Loading, flipping and packing as a config has them, with one resize to the demo size."""
    annotations = dict(type='LoadAnnotations')
    if scope == 'mmdet':
        annotations.update(with_bbox=True, with_mask='mask' in str(model).lower())
    kept = {
        'LoadImageFromFile': dict(type='LoadImageFromFile'),
        'LoadAnnotations': annotations,
        PACKERS[scope]: dict(type=PACKERS[scope]),
        **{name_of(step): for_any_file(step) for step in steps},
        'Resize': resize_to(size),
    }
    # The ground truth of a test is loaded after the resize: it is scored at the size of the file.
    order = TRAINING if training else TESTING
    return [kept[name] for name in (*order, PACKERS[scope]) if name in kept]


def for_any_file(settings):
    """Settings of a transform or metric, without those for other files than the demo set's."""
    return {key: value for key, value in settings.items() if key not in FOREIGN}


def use_tta(pipeline, size):
    """Keep the augmentations at test time, but for the scales: the demo size alone."""
    for step in pipeline:
        if 'transforms' in step:
            step.transforms = [
                [resize_to(size)] if 'Resize' in name_of(group[0]) else group
                for group in step.transforms
                if name_of(group[0]) != 'Pad'
            ]


def resize_to(size):
    """A transform of mmcv that makes images `size` x `size` pixels at most."""
    return ConfigDict(type='Resize', scale=(size, size), keep_ratio=True)
