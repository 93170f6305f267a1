"""Helpers for tests of exported graphs."""

import pytest
import torch
from families import NAMES, build

SIZES = [(1, 61, 97), (3, 40, 130), (1, 20, 33)]  # odd ones, and one below a window
ALL_SIZES = [*SIZES, (2, 64, 64), (4, 130, 257), (1, 1, 1), (1, 5, 1)]
QUICK = ('Container', 'SwinTransformer')  # the others take up to half a minute each
quick_for_some = pytest.mark.parametrize(
    'name', [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)


def fixed(name, **kwargs):
    """A small net in evaluation that learns nothing more."""
    return build(name, **kwargs).eval().requires_grad_(False)


def equal(net, other, sizes):
    """Whether both give the same for images of these sizes, within 1e-4 of its spread."""
    for number, *side in sizes:
        image = torch.randn(number, 3, *side)
        for ours, theirs in zip(net(image), other(image), strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= 1e-4 * (0.1 + ours.std(correction=0))
