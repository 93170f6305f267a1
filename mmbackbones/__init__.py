"""Backbones for MMDetection and MMSegmentation: pyramids of images of any size.

Without PyTorch, `mmbackbones.deploy` alone can be used.
"""

from typing import TYPE_CHECKING


def _why_without_torch():
    """Why PyTorch cannot be imported, or None."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        return error
    return None


__version__ = '0.4.0'
__all__ = [
    'VOLO',
    'CheckpointError',
    'Container',
    'DaViT',
    'MaxViT',
    'SwinTransformer',
    'SwinTransformerV2',
    '__version__',
    'convert_config',
    'fsdp_policy',
    'fuse_conv_bn',
    'is_block',
    'load_checkpoint',
    'no_recomputation',
    'path_of',
    'trust_trainings',
]

_absence = None if TYPE_CHECKING else _why_without_torch()

if TYPE_CHECKING or _absence is None:
    try:
        import mmengine  # noqa: F401  asked for first, so that its absence gets a sentence
    except ImportError as error:
        text = 'mmbackbones needs mmengine: pip install onedl-mmengine (or the original, mmengine)'
        raise ImportError(text) from error

    from . import layers, models
    from .convert import convert_config
    from .layers import fuse_conv_bn, no_recomputation
    from .layers.renamed import old_names
    from .models import VOLO, Container, DaViT, MaxViT, SwinTransformer, SwinTransformerV2
    from .operators import offer
    from .paths import path_of
    from .sharding import fsdp_policy, is_block
    from .weights import CheckpointError, load_checkpoint, trust_trainings

    offer()  # mmcv's operators in plain PyTorch, where it has none of its own
    if not TYPE_CHECKING:
        __getattr__ = old_names(
            __name__,
            plain=('no_recomputation', no_recomputation),
            BLOCK_CLASSES=('is_block', (layers.Block, models.maxvit.MBConv)),
        )
else:

    def __getattr__(name):
        if name in __all__:
            text = f'mmbackbones.{name} needs PyTorch, which cannot be imported ({_absence})'
            raise ImportError(text) from _absence
        raise AttributeError(f"module 'mmbackbones' has no attribute '{name}'")
