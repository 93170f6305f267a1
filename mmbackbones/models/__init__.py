"""One paper, one file; importing them registers their classes."""

from .container import Container
from .davit import DaViT
from .maxvit import MaxViT
from .swin import SwinTransformer
from .swin_v2 import SwinTransformerV2
from .volo import VOLO

__all__ = ['VOLO', 'Container', 'DaViT', 'MaxViT', 'SwinTransformer', 'SwinTransformerV2']
