"""What a training run needs beside a model."""

import re
import warnings

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import set_random_seed
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from .registry import HOOKS
from .weights.errors import CheckpointError
from .weights.loading import check_whole, is_sharded, load_whole, unwrapped


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
        new: Parts that may be missing or of another size, and then start anew, by names such as
            `roi_head.bbox_head`; one name or several.
    """

    priority = 'HIGH'  # before a hook that averages weights takes its copy of them

    def __init__(self, new=()):
        self.new = [new] if isinstance(new, str) else new

    def after_load_checkpoint(self, runner, checkpoint):
        """Load all of it or raise; mmengine then loads the same tensors under our names."""
        source = runner._load_from or 'the checkpoint'
        tensors = checkpoint.get('state_dict', checkpoint)
        tensors = {name.removeprefix('module.'): tensor for name, tensor in tensors.items()}
        if is_sharded(runner.model):  # by names alone: here are pieces of its tensors
            names = runner.model.state_dict().keys()
            missing = [name for name in names if name not in tensors]
            unknown = [name for name in tensors if name not in names]
            check_whole(unwrapped(runner.model), source, missing, unknown)
            return
        model = unwrapped(runner.model)
        report = load_whole(model, tensors, source, self.new)
        if report.new:
            runner.logger.warning('starting anew, as allow_new says: %s', ', '.join(report.new))
        checkpoint['state_dict'] = model.state_dict()


@HOOKS.register_module()
class ScheduleHook(Hook):
    """Lets the schedule and rates of the config hold when a training is resumed.

    mmengine goes on with those of the checkpoint, whatever the config says. Where both are the
    same, nothing changes. Schedules that follow a metric, several optimizers and DeepSpeed go on as
    the checkpoint has them. At the start, the log says which schedules do not fit the training.
    """

    # What of a scheduler changes with each step; everything else is its setting.
    counters = {'last_step', 'verbose', '_global_step', '_last_value'}

    def after_load_checkpoint(self, runner, checkpoint):
        """Put the config's schedule, as it is after the steps done, into the checkpoint."""
        if not runner._resume:
            return
        check_epoch_length(runner, checkpoint['meta'])
        schedulers, saved = runner.param_schedulers, checkpoint.get('param_schedulers')
        if not (isinstance(schedulers, list) and isinstance(saved, list)):
            return
        if 'param_groups' not in checkpoint.get('optimizer', {}):
            return
        old, new = checkpoint['optimizer']['param_groups'], runner.optim_wrapper.param_groups
        check_parameters(runner, old)
        now = [scheduler.state_dict() for scheduler in schedulers]
        if self.settings(now) == self.settings(saved) and same_options(old, new, schedulers):
            return
        if any(isinstance(each, ReduceOnPlateauParamScheduler) for each in schedulers):
            runner.logger.warning('a schedule that follows a metric goes on as in the checkpoint')
            return
        advance(schedulers, checkpoint['meta'])
        checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
        before = use_groups(checkpoint['optimizer'], runner.optim_wrapper)
        runner.logger.warning(
            'the schedule and the options of the optimizer of this config hold, not those of %s: '
            'the learning rate is %.3g now, and was %.3g',
            *(runner._load_from or 'the checkpoint', learning_rate(runner), before),
        )

    def settings(self, states):
        """The states of schedulers without what changes with each step."""
        return [{k: v for k, v in state.items() if k not in self.counters} for state in states]

    def before_train(self, runner):
        """Say which schedules last longer than the training, or begin after its end."""
        schedulers = runner.param_schedulers
        for number, each in enumerate(schedulers if isinstance(schedulers, list) else ()):
            unit, total = 'steps', runner.max_iters
            if each.by_epoch:
                unit, total = 'epochs', runner.max_epochs
            if each.begin < total and (each.end <= total or each.end >= ENDLESS):
                continue
            kind = type(each).__name__.replace('ParamScheduler', '')
            runner.logger.warning(
                'param_scheduler.%d (%s) is for the %s %d to %d, but this training ends after %d: '
                'what it leads to is never reached; set its begin and end, or a longer training',
                *(number, kind, unit, each.begin, each.end, total),
            )


# The `end` of a schedule without one, in mmengine.
ENDLESS = int(1e9)


def learning_rate(runner):
    """The learning rate of what has no rate of its own."""
    rates = runner.optim_wrapper.get_lr()
    return (rates.get('base_lr') or next(iter(rates.values())))[0]


def same_options(old, new, schedulers):
    """Whether parameter groups have equal options, but for those that a schedule changes."""
    scheduled = {'params', 'lr', *(each.param_name for each in schedulers)}
    scheduled |= {f'initial_{name}' for name in scheduled}
    return all(
        before[key] == now[key]
        for before, now in zip(old, new, strict=False)
        for key in before.keys() & now.keys() - scheduled
    )


def advance(schedulers, meta):
    """Step schedules as often as a training did that a checkpoint is of."""
    steps, epochs = meta['iter'], meta['epoch']
    length = max(1, steps // max(1, epochs))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that the optimizer takes no steps meanwhile
        for step in range(1, steps + 1):
            ends_epoch = step % length == 0 and step // length <= epochs
            for each in schedulers:
                if ends_epoch or not each.by_epoch:
                    each.step()


def use_groups(state, wrapper):
    """Put the options of an optimizer's groups into a saved state; its learning rate until now."""
    old, new = state['param_groups'], wrapper.optimizer.param_groups
    before = (state.get('base_param_settings') or old[0])['lr']
    state['param_groups'] = [
        dict(group, params=its['params']) for group, its in zip(new, old, strict=True)
    ]
    if wrapper.base_param_settings is not None:
        state['base_param_settings'] = wrapper.base_param_settings
    return before


def check_parameters(runner, groups):
    """Raise if a checkpoint's optimizer is for other parameters than are trained now."""
    ours = runner.optim_wrapper.optimizer.param_groups
    counts, wanted = ([len(group['params']) for group in each] for each in (groups, ours))
    if counts != wanted and not is_sharded(runner.model):
        raise CheckpointError(
            f'{runner._load_from} cannot be resumed: it trained {sum(counts)} tensors in '
            f'{len(counts)} groups, this config trains {sum(wanted)} in {len(wanted)}; set '
            f'frozen_stages and paramwise_cfg as they were, or start from its weights with '
            f'load_from and without resuming'
        )


def check_epoch_length(runner, meta):
    """Say so if epochs have another number of steps than those of a checkpoint."""
    epochs, steps, length = meta['epoch'], meta['iter'], len(runner.train_dataloader)
    if runner.train_loop.max_epochs > 1 and not epochs * length <= steps <= (epochs + 1) * length:
        runner.logger.warning(
            'the checkpoint has %d epochs of %.0f steps, now an epoch has %d: the batch size, the '
            'number of processes or the data are others, and schedules by steps go on at %d',
            *(epochs, steps / max(1, epochs), length, steps),
        )


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
                module.register_forward_pre_hook(lambda module, inputs: floats(inputs))
            if self.heads.search(name):
                module.register_forward_hook(lambda module, inputs, outputs: floats(outputs))


def floats(values):
    """The same nested values, with float32 tensors in place of bfloat16 ones."""
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
