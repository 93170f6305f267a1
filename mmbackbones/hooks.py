"""What a training run needs beside a model."""

from mmengine.hooks import Hook
from mmengine.runner import set_random_seed

from .registry import HOOKS


@HOOKS.register_module()
class RepeatableHook(Hook):
    """Seeds each epoch by the run's seed and the step, so that a resumed run repeats what it lost.

    It is exact where the main process loads the data (`num_workers=0`): workers that live on from
    epoch to epoch have random states of their own.
    """

    def before_train_epoch(self, runner):
        set_random_seed(runner.seed + runner.iter)
