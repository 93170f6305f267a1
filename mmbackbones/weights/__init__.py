"""Reading published checkpoints: safely, of every known format, with a report."""

from .errors import CheckpointError
from .format import Format
from .loading import Report, convert_state_dict, load_checkpoint
from .pickles import trust_trainings

__all__ = [
    'CheckpointError',
    'Format',
    'Report',
    'convert_state_dict',
    'load_checkpoint',
    'trust_trainings',
]
