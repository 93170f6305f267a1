"""One paper, one file; importing them registers their classes."""

from .swin import SwinTransformer

__all__ = ['SwinTransformer']
