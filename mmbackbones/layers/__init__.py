"""Parts that two architectures or more are made of; they need torch alone."""

from .attention import Attention, fused_attention
from .bands import (
    add_branch,
    by_bands,
    in_cache,
    in_graph,
    in_order,
    join,
    row_bands,
    token_bands,
    whole_map,
)
from .block import Block, DropPath, Mlp, drop_path_rates
from .conv import InRows, Rows, SameConv2d, folded
from .embed import ChannelsFirst, Halve, PatchEmbed, PatchMerging, pad_image
from .norm import affine, learns, settled, settles
from .position import ConvPosition, RelativeBias, between_tokens
from .precision import full_precision
from .recompute import Linear, Prelude, conv_behind, recomputed, sum_behind
from .window import Grids, Windows, apart, pad_to
from .window_attention import GridAttention, MaskedWindowAttention, WindowAttention

__all__ = [
    'Attention',
    'Block',
    'ChannelsFirst',
    'ConvPosition',
    'DropPath',
    'GridAttention',
    'Grids',
    'Halve',
    'InRows',
    'Linear',
    'MaskedWindowAttention',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'Prelude',
    'RelativeBias',
    'Rows',
    'SameConv2d',
    'WindowAttention',
    'Windows',
    'add_branch',
    'affine',
    'apart',
    'between_tokens',
    'by_bands',
    'conv_behind',
    'drop_path_rates',
    'folded',
    'full_precision',
    'fused_attention',
    'in_cache',
    'in_graph',
    'in_order',
    'join',
    'learns',
    'pad_image',
    'pad_to',
    'recomputed',
    'row_bands',
    'settled',
    'settles',
    'sum_behind',
    'token_bands',
    'whole_map',
]
