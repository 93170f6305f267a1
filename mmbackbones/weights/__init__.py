"""Reading published checkpoints: safely, of every known format, with a report."""

from .loading import Format, Report, load_checkpoint
from .reading import CheckpointError

__all__ = ['CheckpointError', 'Format', 'Report', 'load_checkpoint']
