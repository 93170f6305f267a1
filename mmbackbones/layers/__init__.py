"""Parts that two architectures or more are made of; they need torch alone."""

from .attention import (
    Attention,
    GridAttention,
    MaskedWindowAttention,
    WindowAttention,
    fused_attention,
)
from .block import Block, DropPath, Mlp, drop_path_rates
from .embed import ChannelsFirst, PatchEmbed, PatchMerging, pad_image
from .position import ConvPosition, RelativeBias, between_tokens
from .precision import full_precision
from .window import apart, grid_join, grid_runs, pad_to, window_join, window_runs

__all__ = [
    'Attention',
    'Block',
    'ChannelsFirst',
    'ConvPosition',
    'DropPath',
    'GridAttention',
    'MaskedWindowAttention',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'RelativeBias',
    'WindowAttention',
    'apart',
    'between_tokens',
    'drop_path_rates',
    'full_precision',
    'fused_attention',
    'grid_join',
    'grid_runs',
    'pad_image',
    'pad_to',
    'window_join',
    'window_runs',
]
