"""mmengine's log on the screen without what fills hundreds of lines; its file has all of it.

On a terminal the steps of a training are one line, which says how far it is and how long it takes.
Elsewhere something is said every half minute at the latest.
"""

import logging
import sys
import time

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

from lib.arguments import EVERY

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


class ShortScreen(logging.Filter):
    """What of the log belongs on the screen, and when it has said something for the last time."""

    def __init__(self):
        super().__init__()
        self.said = time.monotonic()

    def filter(self, record):
        """Whether a message belongs on the screen."""
        short = not str(record.msg).startswith(FILED)
        self.said = time.monotonic() if short else self.said
        return short


def is_no_step(record):
    """Whether a message is of something else than a step of a training."""
    return not str(record.msg).startswith(STEPS)


class ProgressHook(Hook):
    """The steps of a training as one line of a terminal: how far, for how long, with which loss."""

    def __init__(self):
        columns = [
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn('loss {task.fields[loss]}'),
            TimeElapsedColumn(),
            TextColumn('<'),
            TimeRemainingColumn(),
        ]
        # Evaluations lie between the steps, so the time that is left is by the last ten minutes.
        self.progress = Progress(
            *columns, refresh_per_second=2, speed_estimate_period=600, expand=True
        )

    def before_train(self, runner):
        """Know how many steps there are, of which some may have been done before."""
        total, done = runner.max_iters, runner.iter
        self.task = self.progress.add_task('', total=total, completed=done, loss='-')

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Show the step."""
        loss = runner.message_hub.get_scalar('train/loss').current()
        self.progress.update(self.task, completed=runner.iter + 1, loss=f'{loss:.3f}')


class SignOfLifeHook(Hook):
    """Says how far it is where the log has said nothing for half a minute."""

    def __init__(self, screen):
        self.screen = screen

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Of a training."""
        self.say(runner, 'training', runner.iter + 1, runner.max_iters)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Of an evaluation in a training."""
        self.say(runner, 'validation', batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Of a test."""
        self.say(runner, 'test', batch_idx + 1, len(runner.test_dataloader))

    def say(self, runner, what, done, total):
        """Log a line, if it is time."""
        if time.monotonic() - self.screen.said >= EVERY:
            runner.logger.info(f'{what}: step {done} of {total}')


class ShortLogRunner(Runner):
    """mmengine's runner, but for its screen."""

    def build_logger(self, *args, **kwargs):
        """The logger, and where it writes; the screen leaves out what is for the file."""
        logger, self.screen = super().build_logger(*args, **kwargs), ShortScreen()
        for handler in screens(logger):
            handler.addFilter(self.screen)
        logger.info(f'The config, the environment and everything else: {self.log_dir}')
        return logger

    def register_hooks(self, *args, **kwargs):
        """Those of the config, and one that says how far it is."""
        super().register_hooks(*args, **kwargs)
        self.register_hook(SignOfLifeHook(self.screen), 'VERY_LOW')

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
