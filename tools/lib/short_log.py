"""mmengine's log on the screen without what fills hundreds of lines; its file has all of it.

On a terminal the steps of a training are one line, which says how far it is and how long it takes.
"""

import contextlib
import io
import logging
import sys
import warnings
from importlib import import_module

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# How messages begin that are for the file alone.
FILED = (
    '\n-----',  # the environment
    'Config:\n',
    'paramwise_options',
    'Hooks will be executed',
    # What mm says of itself, and nobody who trains can change.
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'The prefix is not set in metric class',
)

STEPS = 'Epoch(train)', 'Iter(train)'  # how the lines of a training's steps begin


def is_short(record):
    """Whether a message belongs on the screen."""
    return not str(record.msg).startswith(FILED)


def is_no_step(record):
    """Whether a message is of something else than a step of a training."""
    return not str(record.msg).startswith(STEPS)


class ProgressHook(Hook):
    """The steps of a training as one line of a terminal: how far, for how long, with which loss."""

    def __init__(self):
        columns = [
            TextColumn('training'),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn('steps, loss {task.fields[loss]},'),
            TimeElapsedColumn(),
            TextColumn('spent,'),
            TimeRemainingColumn(),
            TextColumn('left'),
        ]
        # Evaluations lie between the steps, so the time that is left is by the last ten minutes.
        self.progress = Progress(*columns, refresh_per_second=2, speed_estimate_period=600)

    def before_train(self, runner):
        """Know how many steps there are, of which some may have been done before."""
        total, done = runner.max_iters, runner.iter
        self.task = self.progress.add_task('', total=total, completed=done, loss='-')

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Show the step."""
        loss = runner.message_hub.get_scalar('train/loss').current()
        self.progress.update(self.task, completed=runner.iter + 1, loss=f'{loss:.3f}')


class ShortLogRunner(Runner):
    """mmengine's runner, but for its screen."""

    def build_logger(self, *args, **kwargs):
        """The logger, and where it writes; the screen leaves out what is for the file."""
        logger = super().build_logger(*args, **kwargs)
        for handler in screens(logger):
            handler.addFilter(is_short)
        logger.info(f'The config, the environment and everything else: {self.log_dir}')
        return logger

    def train(self):
        """Train, with the steps as one line where a terminal shows it."""
        if not (is_main_process() and sys.stdout.isatty()):
            return super().train()
        hook = ProgressHook()
        self.register_hook(hook, 'LOW')
        with hook.progress:  # what is printed meanwhile goes above the line
            for handler in screens(self.logger):
                handler.addFilter(is_no_step)
                handler.setStream(sys.stdout)
            return super().train()


def screens(logger):
    """The handlers of a logger that write on a screen."""
    return [each for each in logger.handlers if not isinstance(each, logging.FileHandler)]


def import_quietly(scope):
    """Import mmdet or mmseg without their remarks on optional packages."""
    warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
    with contextlib.redirect_stdout(io.StringIO()):
        import_module(f'{scope}.datasets')
        import_module(f'{scope}.evaluation')
