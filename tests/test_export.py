"""Graphs of all backbones hold for images of any size: torch.export, ONNX, traces, torch.compile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import test_backbones
import torch
from export import program, read_onnx, translate, write_script
from test_backbones import TINY, every_class

ROOT = Path(__file__).parent.parent
EXAMPLE = (150, 131)
SIZES = [(1, 61, 97), (3, 40, 130), (1, 20, 33)]  # odd ones, and one below a window
ONE, DIMS, HEADS = (1, 1, 1, 1), (16, 16, 16, 16), (1, 1, 2, 2)
# The first stages, with as few blocks as have all that a graph can get wrong: tracing is slow.
SMALL = {
    'SwinTransformer': dict(arch=dict(dims=DIMS, depths=(2, 1, 1, 1), heads=HEADS)),
    'SwinTransformerV2': dict(
        arch=dict(dims=DIMS, depths=(2, 1, 1, 1), heads=HEADS, norm_every=2), window_size=4
    ),
    'MaxViT': dict(arch=dict(dims=(32,) * 4, depths=ONE, stem=16, parts='tensorflow')),
    'DaViT': dict(arch=dict(dims=DIMS, depths=ONE, heads=HEADS)),
    'VOLO': dict(
        arch=dict(dims=(32, 32), depths=(1, 1), heads=(2, 2), mlp_ratio=2, stem=8),
        pretrain_size=64,
        out_indices=(0, 1, 2, 3),
    ),
    'Container': dict(
        arch=dict(dims=DIMS, depths=ONE, mlp_ratios=(2,) * 4, mixers=('pam', 'static') * 2),
        pretrain_size=64,
        out_indices=(0, 1),
    ),
}


def build(name, table):
    """One of a table, in evaluation, and with nothing at its trivial start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(test_backbones.TINY, name, table[name])
        return test_backbones.build(name).eval().requires_grad_(False)


def example():
    return torch.randn(2, 3, *EXAMPLE)


def equal(net, other, sizes=SIZES):
    """Whether both give the same for images of these sizes, relative to its spread."""
    for size in sizes:
        image = torch.randn(size[0], 3, *size[1:])
        for ours, theirs in zip(net(image), other(image), strict=True):
            assert ours.shape == theirs.shape
            torch.testing.assert_close(
                theirs, ours, rtol=0, atol=1e-4 * (1e-3 + ours.std(correction=0).item())
            )


@pytest.fixture(scope='module', params=sorted(SMALL))
def exported(request):
    """A small backbone and its graph, for the tests that need one."""
    net = build(
        request.param,
        {k: dict(out_indices=(0,), **v) if 'out_indices' not in v else v for k, v in SMALL.items()},
    )
    return net, program(net, example())


def test_a_graph_of_torch_export_holds_for_every_size(exported):
    net, graph = exported
    equal(net, graph.module())


def test_onnxruntime_gives_the_same_for_every_size(exported, tmp_path):
    pytest.importorskip('onnxruntime')
    net, graph = exported
    path = str(tmp_path / 'net.onnx')
    translate(net, graph, path, 20)
    equal(net, read_onnx(path))
