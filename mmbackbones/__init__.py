"""Swin backbones for MMDetection and MMSegmentation: pyramids of images of any size."""

from .models import SwinTransformer
from .weights import CheckpointError, load_checkpoint

__version__ = '0.1.0'
__all__ = ['CheckpointError', 'SwinTransformer', '__version__', 'load_checkpoint']
