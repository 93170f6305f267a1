"""Backbones for MMDetection and MMSegmentation: pyramids of images of any size."""

try:
    import mmengine  # noqa: F401  asked for first, so that its absence gets a sentence
except ImportError as error:
    raise ImportError('mmbackbones needs mmengine: pip install "mmbackbones[onedl]"') from error

from .convert import convert_config
from .layers import fuse_conv_bn, plain
from .models import VOLO, Container, DaViT, MaxViT, SwinTransformer, SwinTransformerV2
from .operators import offer
from .paths import path_of
from .sharding import BLOCK_CLASSES, fsdp_policy, is_block
from .weights import CheckpointError, load_checkpoint, trust_trainings

__version__ = '0.4.0'
__all__ = [
    'BLOCK_CLASSES',
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
    'path_of',
    'plain',
    'trust_trainings',
]

offer()  # mmcv's operators in plain PyTorch, where it has none of its own
