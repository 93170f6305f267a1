"""Swin backbones for MMDetection and MMSegmentation: pyramids of images of any size."""

try:
    import mmengine  # noqa: F401  asked for first, so that its absence gets a sentence
except ImportError as error:
    raise ImportError('mmbackbones needs mmengine: pip install "mmbackbones[onedl]"') from error

from .models import SwinTransformer
from .weights import CheckpointError, load_checkpoint

__version__ = '0.1.0'
__all__ = ['CheckpointError', 'SwinTransformer', '__version__', 'load_checkpoint']
