"""The learning rate and its schedule, when a training is resumed with other settings."""

import warnings

from mmengine.hooks import Hook
from mmengine.optim import ReduceOnPlateauParamScheduler

from .registry import HOOKS
from .weights.errors import CheckpointError
from .weights.loading import is_sharded

NO_END = int(1e9)  # mmengine's `end` of a schedule that has none


@HOOKS.register_module()
class ScheduleHook(Hook):
    """Lets the schedule and rates of the config hold when a training is resumed.

    mmengine goes on with those of the checkpoint, whatever the config says. Where both are the
    same, nothing changes. Schedules that follow a metric, several optimizers and DeepSpeed go on as
    the checkpoint has them. At the start, the log says which schedules do not fit the training.
    """

    # What of a scheduler changes with each step; everything else is its setting. If the private
    # ones move, resumed trainings say that their schedule has changed.
    counters = {'last_step', 'verbose', '_global_step', '_last_value'}

    def after_load_checkpoint(self, runner, checkpoint):
        """Put the config's schedule, as it is after the steps done, into the checkpoint."""
        if not runner._resume:  # if it moves, trainings that load a checkpoint stop here
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
            source_of(runner),
            learning_rate(runner),
            before,
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
            if each.begin < total and (each.end <= total or each.end >= NO_END):
                continue
            kind = type(each).__name__.replace('ParamScheduler', '')
            runner.logger.warning(
                'param_scheduler.%d (%s) is for the %s %d to %d, but this training ends after %d: '
                'what it leads to is never reached; set its begin and end, or a longer training',
                number,
                kind,
                unit,
                each.begin,
                each.end,
                total,
            )


def source_of(runner):
    """What a runner loads, for messages. If the attribute moves, trainings stop here."""
    return runner._load_from or 'the checkpoint'


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
            f'{source_of(runner)} cannot be resumed: it trained {sum(counts)} tensors in '
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
            epochs,
            steps / max(1, epochs),
            length,
            steps,
        )
