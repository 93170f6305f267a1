"""Parts that two architectures or more are made of; they need torch alone."""

from .attention import Attention, WindowAttention, fused_attention
from .block import Block, DropPath, Mlp, drop_path_rates
from .embed import PatchEmbed
from .position import RelativeBias, offset_index
from .window import (
    pad_to,
    shift_mask,
    shift_merge,
    shift_split,
    window_merge,
    window_split,
)

__all__ = [
    'Attention',
    'Block',
    'DropPath',
    'Mlp',
    'PatchEmbed',
    'RelativeBias',
    'WindowAttention',
    'drop_path_rates',
    'fused_attention',
    'offset_index',
    'pad_to',
    'shift_mask',
    'shift_merge',
    'shift_split',
    'window_merge',
    'window_split',
]
