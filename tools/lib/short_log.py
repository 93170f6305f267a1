"""mmengine's log on the screen without what fills hundreds of lines; its file has all of it."""

import contextlib
import io
import logging
import warnings
from importlib import import_module

from mmengine.runner import Runner

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


def is_short(record):
    """Whether a message belongs on the screen."""
    return not str(record.msg).startswith(FILED)


class ShortLogRunner(Runner):
    """mmengine's runner, but for its screen."""

    def build_logger(self, *args, **kwargs):
        """The logger, and where it writes; the screen leaves out what is for the file."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_short)
        logger.info(f'The config, the environment and everything else: {self.log_dir}')
        return logger


def import_quietly(scope):
    """Import mmdet or mmseg without their remarks on optional packages."""
    warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
    with contextlib.redirect_stdout(io.StringIO()):
        import_module(f'{scope}.datasets')
        import_module(f'{scope}.evaluation')
