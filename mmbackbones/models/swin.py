"""Swin Transformer: attention inside windows, shifted by half a window from block to block.

Paper: https://arxiv.org/abs/2103.14030. Official code: microsoft/Swin-Transformer, and for dense
prediction SwinTransformer/Swin-Transformer-Object-Detection, which this file equals at every input
size: maps are padded with visible zeros to whole windows, and small maps are shifted all the same.
(The classifier shrinks the window and drops the shift where a map is no larger than a window.)
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..backbone import Backbone, Stage, arch_settings, per_stage
from ..layers import (
    Block,
    PatchEmbed,
    PatchMerging,
    RelativeBias,
    WindowAttention,
    drop_path_rates,
)
from ..registry import MODELS
from ..weights import swin as weights

ARCHS = {
    'tiny': dict(dims=(96, 192, 384, 768), depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    'small': dict(dims=(96, 192, 384, 768), depths=(2, 2, 18, 2), heads=(3, 6, 12, 24)),
    'base': dict(dims=(128, 256, 512, 1024), depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    'large': dict(dims=(192, 384, 768, 1536), depths=(2, 2, 18, 2), heads=(6, 12, 24, 48)),
}


def swin_blocks(dim, heads, window, rates):
    """One block per drop path rate; every second one shifts its windows by half."""
    for i, rate in enumerate(rates):
        bias = RelativeBias(window, heads)
        shift = window // 2 * (i % 2)
        yield Block(dim, WindowAttention(dim, heads, window, shift, bias), rate)


@MODELS.register_module()
class SwinTransformer(Backbone):
    """Swin Transformer (V1) as a pyramid at strides 4, 8, 16 and 32.

    Args:
        arch: 'tiny', 'small', 'base', 'large', or a dict of `dims`, `depths` and `heads`,
            one of each for every stage, of which there may be more or fewer than four.
        window_size: Side of the windows in tokens, one number or one per stage: 7, or 12 for the
            weights trained at 384.
        in_channels: Channels of the images.
        drop_path_rate: Drop path of the last block; it rises evenly from 0 at the first.
        common: `out_indices`, `frozen_stages`, `norm_eval`, `with_cp`, `init_cfg`: see `Backbone`.
    """

    archs, formats = ARCHS, weights.FORMATS

    def __init__(
        self,
        arch: str | dict = 'tiny',
        *,
        window_size: int | Sequence[int] = 7,
        in_channels: int = 3,
        drop_path_rate: float = 0.1,
        **common: Any,
    ) -> None:
        dims, depths, heads = arch_settings(self.archs, arch)
        merges = [None, *(PatchMerging(*pair) for pair in pairwise(dims))]
        rates = drop_path_rates(drop_path_rate, depths)
        windows = per_stage(window_size, len(dims), 'window_size', 1)
        numbers = zip(dims, heads, windows, rates, strict=True)
        stages = [
            Stage(swin_blocks(*row), merge) for row, merge in zip(numbers, merges, strict=True)
        ]
        super().__init__(PatchEmbed(in_channels, dims[0]), stages, dims, **common)
