"""Parts that two architectures or more are made of; they need torch alone."""

from typing import TYPE_CHECKING

from .attention import Attention, attention, without_cudnn
from .block import Block, DropPath, Mlp, drop_path_rates
from .context import (
    any_size,
    at_least_float,
    full_precision,
    in_exported_graph,
    in_graph,
    in_transform,
)
from .embed import ChannelsFirst, Halve, PatchEmbed, PatchMerging, pad_image, pad_to
from .norm import BATCH_NORMS, LayerNorm, fuse_conv_bn
from .position import ConvPosition, RelativeBias, between_tokens
from .recomputation import no_recomputation, recomputation, recompute
from .renamed import old_names
from .window import (
    GridAttention,
    MaskedWindowAttention,
    WindowAttention,
    cached,
    cached_window_order,
    window_order,
    window_partition,
    window_reverse,
)

__all__ = [
    'BATCH_NORMS',
    'Attention',
    'Block',
    'ChannelsFirst',
    'ConvPosition',
    'DropPath',
    'GridAttention',
    'Halve',
    'LayerNorm',
    'MaskedWindowAttention',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'RelativeBias',
    'WindowAttention',
    'any_size',
    'at_least_float',
    'attention',
    'between_tokens',
    'cached',
    'cached_window_order',
    'drop_path_rates',
    'full_precision',
    'fuse_conv_bn',
    'in_exported_graph',
    'in_graph',
    'in_transform',
    'no_recomputation',
    'pad_image',
    'pad_to',
    'recomputation',
    'recompute',
    'window_order',
    'window_partition',
    'window_reverse',
    'without_cudnn',
]

if not TYPE_CHECKING:
    __getattr__ = old_names(
        __name__,
        cheap=('recompute', recompute),
        lean=('recomputation', recomputation),
        plain=('no_recomputation', no_recomputation),
    )
