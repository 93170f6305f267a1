"""What a training run needs beside a model."""

import re

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, set_random_seed
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from .registry import HOOKS
from .schedules import learning_rate
from .weights.errors import some
from .weights.loading import (
    check_whole,
    find_whole,
    is_sharded,
    load_whole,
    shape,
    unwrapped,
)
from .weights.reading import without_nests


@HOOKS.register_module()
class RepeatableHook(Hook):
    """Seeds each epoch by the run's seed and the step, so that a resumed run repeats what it lost.

    It is exact where the main process loads the data (`num_workers=0`): workers that live on from
    epoch to epoch have random states of their own.
    """

    def before_train_epoch(self, runner):
        set_random_seed(runner.seed + runner.iter)


@HOOKS.register_module()
class WholeCheckpointHook(Hook):
    """Refuses a checkpoint of another model, for which mmengine would warn and go on.

    Args:
        new: Parts that start anew where they are missing, of another size or of other classes, by
            names such as `roi_head.bbox_head`; one name or several.
    """

    priority = 'HIGH'  # before a hook that averages weights takes its copy of them

    def __init__(self, new=()):
        self.new = [part.removesuffix('.') for part in ([new] if isinstance(new, str) else new)]

    def after_load_checkpoint(self, runner, checkpoint):
        """Load all of it or raise; mmengine then loads the same tensors under our names."""
        source = runner._load_from or 'the checkpoint'
        tensors = checkpoint.get('state_dict') or without_nests(checkpoint, source)
        tensors = {name.removeprefix('module.'): tensor for name, tensor in tensors.items()}
        if is_sharded(runner.model):  # by names alone: here are pieces of its tensors
            names = runner.model.state_dict().keys()
            missing = [name for name in names if name not in tensors]
            unknown = [name for name in tensors if name not in names]
            check_whole(unwrapped(runner.model), source, missing, unknown)
            return
        model = unwrapped(runner.model)
        tensors, report = find_whole(model, tensors, source)
        tensors = self.without_other_classes(runner, source, checkpoint.get('meta'), tensors)
        load_whole(model, tensors, report, self.new)
        report.log()
        if report.new:
            runner.logger.warning('starting anew, as allow_new says: %s', ', '.join(report.new))
        checkpoint['state_dict'] = model.state_dict()

    def without_other_classes(self, runner, source, meta, tensors):
        """The tensors without parts that may start anew and fit, if they are of other classes."""
        theirs, ours = class_names(meta), dataset_classes(runner)
        if ours and theirs == ours:
            return tensors
        parts = self.parts_that_fit(unwrapped(runner.model).state_dict(), tensors)
        listed = ', '.join(parts)
        if parts and not (theirs and ours):
            outcome = f'not compared, so {listed} kept as in the file'
        elif parts:
            outcome = f'{listed} will start anew'
            dropped = tuple(f'{part}.' for part in parts)
            tensors = {n: tensor for n, tensor in tensors.items() if not n.startswith(dropped)}
        elif theirs and ours and len(theirs) == len(ours):
            outcome = 'what was learned of one is kept for the other; allow_new=PART forgets it'
        else:  # heads of another size are refused, or start anew, anyway
            return tensors
        classes = f'the classes {others(theirs, ours)} and the dataset {others(ours, theirs)}'
        runner.logger.warning('%s has %s: %s', source, classes, outcome)
        return tensors

    def parts_that_fit(self, state, tensors):
        """The parts that may start anew, but whose tensors all have the sizes of ours."""
        unfit = [name for name in state if shape(tensors.get(name)) != shape(state[name])]
        return [part for part in self.new if not any(n.startswith(f'{part}.') for n in unfit)]


def class_names(meta):
    """The names of the classes in what a dataset or checkpoint says of itself, or None."""
    if not isinstance(meta, dict):
        return None
    known = {str(key).lower(): value for key, value in meta.items()}
    names = known.get('classes') or class_names(known.get('dataset_meta'))
    return list(names) if isinstance(names, (list, tuple)) else None


def others(names, than):
    """The names in a list that another has not in the same places."""
    same = names and than and len(names) == len(than)
    return some([n for i, n in enumerate(names or ['?']) if not same or n != than[i]])


def dataset_classes(runner):
    """The names of the classes of the first dataset that a runner has built, or None."""
    loops = runner._train_loop, runner._val_loop, runner._test_loop
    datasets = [loop.dataloader.dataset for loop in loops if isinstance(loop, BaseLoop)]
    found = (class_names(getattr(dataset, 'metainfo', None)) for dataset in datasets)
    return next(filter(None, found), None)


@HOOKS.register_module()
class BFloat16Hook(Hook):
    """Under bfloat16 autocast, gives float32 to the operators of mmcv that have no bfloat16 kernel.

    These are RoIAlign, the focal loss and, on a CPU, nms: RoI extractors get float32 maps, and
    heads return float32.
    """

    extractors = re.compile(r'_roi_extractor(\.\d+)?$')
    heads = re.compile(r'(^|\.)(rpn_head|bbox_head|mask_head)(\.\d+)?$')

    def before_run(self, runner):
        for name, module in runner.model.named_modules():
            if self.extractors.search(name):
                module.register_forward_pre_hook(lambda module, inputs: to_float32(inputs))
            if self.heads.search(name):
                module.register_forward_hook(lambda module, inputs, outputs: to_float32(outputs))


def to_float32(values):
    """Nested values with bfloat16 tensors converted to float32."""
    return tree_map(
        lambda x: x.float() if getattr(x, 'dtype', None) == torch.bfloat16 else x, values
    )


@HOOKS.register_module()
class CompileHook(Hook):
    """Makes the optimizer's `param_groups` plain dicts, as mmengine's `compile=True` needs.

    mmengine makes them `ConfigDict`s, on which `torch.compile` fails in the optimizer's step.
    """

    def before_train(self, runner):
        optimizer = runner.optim_wrapper.optimizer
        optimizer.param_groups = [dict(group) for group in optimizer.param_groups]


@HOOKS.register_module()
class BatchNormMomentumHook(Hook):
    """Sets the momentum of all batch norms, for trainings that are short.

    At MaxViT's 0.01, running statistics are still a third of what they began as after 100 steps,
    and 33 norms in a row multiply what is missing.
    """

    def __init__(self, momentum=0.1):
        self.momentum = momentum

    def before_train(self, runner):
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = self.momentum


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops a training whose loss stays NaN or infinite, before such weights are saved.

    A single one does no harm in float16, where the optimizer skips such a step. To look costs no
    wait for the device: mmengine's log has read the same loss before.

    Args:
        patience: After how many steps in a row.
    """

    def __init__(self, patience=10):
        self.patience, self.count = patience, 0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Count the steps in a row whose loss is not finite."""
        loss = outputs.get('loss') if isinstance(outputs, dict) else None
        self.count = 0 if loss is None or all_finite(loss) else self.count + 1
        if self.count == self.patience:
            self.stop(runner)

    def before_save_checkpoint(self, runner, checkpoint):
        """Write no checkpoint whose last loss was not finite."""
        if self.count:
            self.stop(runner)

    def after_train(self, runner):
        """Let no training end well whose last loss was not finite."""
        if self.count:
            self.stop(runner)

    def stop(self, runner):
        """Raise with the step and the learning rate."""
        raise FloatingPointError(
            f'the loss is NaN or infinite in {self.count} steps up to {runner.iter + 1} (learning '
            f'rate {learning_rate(runner):.3g}); go on from an earlier '
            f'checkpoint with a lower rate, or find the image with --detect-nan'
        )


@HOOKS.register_module()
class DetectNanHook(Hook):
    """Stops a training at the first NaN or infinity in its images or losses, and names them.

    It comes before the weights are touched, so the last checkpoint is still a good one.
    """

    def before_train(self, runner):
        """Look at what goes into the model and what comes out of it."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check = model.register_forward_pre_hook(self.check_images, with_kwargs=True)
        self.checks = [check, model.register_forward_hook(self.check_losses, with_kwargs=True)]

    def after_train(self, runner):
        """Look no more."""
        for check in self.checks:
            check.remove()

    def check_images(self, model, args, kwargs):
        """The images of a batch, after the preprocessing."""
        bad = [not image.isfinite().all() for image in kwargs['inputs']]
        if any(bad):
            paths = [path for path, each in zip(image_paths(kwargs), bad, strict=True) if each]
            raise FloatingPointError(f'NaN or infinity in the image {", ".join(paths)}')

    def check_losses(self, model, args, kwargs, losses):
        """The losses of a batch, by their names."""
        values = losses.items() if isinstance(losses, dict) else ()
        bad = [name for name, value in values if not all_finite(value)]
        if bad:
            images = ', '.join(image_paths(kwargs))
            raise FloatingPointError(f'NaN or infinity in {", ".join(bad)} of the images {images}')


def all_finite(value):
    """Whether a loss, or each of a list of them, is finite."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    return all(torch.as_tensor(part).isfinite().all() for part in parts)


def image_paths(kwargs):
    """Where the images of a batch lie."""
    return [str(sample.metainfo.get('img_path')) for sample in kwargs['data_samples']]
