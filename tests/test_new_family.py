"""The example of an architecture in mmbackbones/README.md does all that the shipped ones do."""

import copy
import io
import math
import re
import sys
from contextlib import nullcontext
from functools import partial
from types import ModuleType

import pytest
import torch
from conftest import ROOT
from families import TINY
from lib.engine_graphs import capture
from lib.memory import kept
from taken_apart import SIZE, distance, grads, total
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
)

import mmbackbones
from mmbackbones import no_recomputation
from mmbackbones.backbone import Stage
from mmbackbones.layers import Block
from mmbackbones.registry import MODELS

PAGE = (ROOT / 'mmbackbones/README.md').read_text()
(EXAMPLE,) = (code for code in re.findall('```python\n(.*?)```', PAGE, re.S) if 'Backbone)' in code)
pytestmark = pytest.mark.usefixtures('without_logs')

SMALL = dict(dims=(8, 16, 24, 32), depths=(1, 2, 1, 1))


class ConvMlp(nn.Module):
    """An MLP with a depthwise convolution between its linear layers."""

    def __init__(self, dim):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        self.conv = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, groups=2 * dim)

    def forward(self, x):
        x = self.conv(self.fc1(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.fc2(self.act(x))


def with_convolutions(net):
    """The net with another MLP in each block."""
    for block in filter(mmbackbones.is_block, net.modules()):
        block.mlp = ConvMlp(block.mlp.fc1.in_features)
    return net


@pytest.fixture
def sixth(monkeypatch):
    """A function that builds small nets of the class that the page registers."""
    before, module = set(MODELS.module_dict), ModuleType('example')
    monkeypatch.setitem(sys.modules, 'example', module)  # where PyTorch's compiler finds its names
    exec(EXAMPLE, vars(module))
    (name,) = set(MODELS.module_dict) - before
    usual = dict(type=f'mmbackbones.{name}', arch=SMALL, drop_path_rate=0.0)
    yield lambda **kwargs: MODELS.build(usual | kwargs)
    del MODELS.module_dict[name]


def test_the_example_is_a_whole_backbone_by_its_own_numbers(sixth):
    net = sixth(arch='tiny', out_indices=(3,)).eval()
    assert net(torch.randn(1, 3, 32, 32))[0].shape == (1, 512, 1, 1)


@pytest.mark.parametrize('size', [(61, 97), (64, 64), (1, 1), (5, 1), (301, 1203)])
def test_a_sixth_family_takes_any_size(sixth, size):
    """Large maps are nowhere cut where tokens meet."""
    net, x = with_convolutions(sixth()).train(), torch.randn(2, 3, *size)
    outs = net(x)
    with no_recomputation():
        wanted = net(x)
    with torch.no_grad():
        alone = net.eval()(x)
    for out, want, inferred, stride in zip(outs, wanted, alone, net.out_strides, strict=True):
        assert out.shape[2:] == tuple(math.ceil(side / stride) for side in size)
        assert torch.equal(out, want)
        assert torch.allclose(inferred, want, atol=1e-5)


def test_a_sixth_family_recomputes_and_checkpoints(sixth):
    net, saving = (
        with_convolutions(sixth(drop_path_rate=0.3, with_cp=with_cp)).double().train()
        for with_cp in (False, True)
    )
    x = torch.randn(SIZE).double()
    saving.load_state_dict(net.state_dict())
    found = []
    for each, context in ((net, no_recomputation), (net, nullcontext), (saving, nullcontext)):
        torch.manual_seed(1)
        found.append(grads(each, x, context))
    assert distance(found[1], found[0]) <= 1e-9
    assert distance(found[2], found[0]) <= 1e-9
    assert kept(lambda: saving(x)) < kept(lambda: net(x))


def test_a_sixth_family_freezes_and_shards_by_blocks(sixth):
    net = sixth(frozen_stages=2).train()
    total(net(torch.randn(SIZE))).backward()
    held = ('stem.', 'stages.0.', 'stages.1.', 'norm0.', 'norm1.')
    for path, p in net.named_parameters():
        assert p.requires_grad == (not path.startswith(held)), path
        assert p.grad is None if path.startswith(held) else p.grad.any(), path
    blocks = [block for stage in net.stages for block in stage.blocks]
    assert [m for m in net.modules() if mmbackbones.is_block(m)] == blocks
    policy = partial(mmbackbones.fsdp_policy, recurse=False, nonwrapped_numel=0)
    assert [m for m in net.modules() if policy(m)] == blocks


def test_blocks_are_what_stages_are_built_with():
    """Of any class, in copies and in files; not what wraps them, and no `Block` elsewhere."""
    net = MODELS.get('SwinTransformer')(**TINY['SwinTransformer'])
    members = [nn.Identity(), Block(8, nn.Identity())]
    stage = Stage(members, Block(8, nn.Identity()))
    file = io.BytesIO()
    torch.save(stage, file)
    file.seek(0)
    for each in (stage, copy.deepcopy(stage), torch.load(file, weights_only=False)):
        assert [m for m in each.modules() if mmbackbones.is_block(m)] == list(each.blocks)
    apply_activation_checkpointing(stage, check_fn=mmbackbones.is_block)
    assert [m for m in stage.modules() if mmbackbones.is_block(m)] == members
    with pytest.warns(DeprecationWarning, match='BLOCK_CLASSES is now mmbackbones.is_block'):
        assert isinstance(net.stages[0].blocks[0], mmbackbones.BLOCK_CLASSES)


def test_a_sixth_family_trains_under_autocast(sixth):
    net, x = sixth().train(), torch.randn(SIZE)
    with torch.autocast('cpu', torch.bfloat16):
        outs = net(x)
    total(out.float() for out in outs).backward()
    assert [n for n, p in net.named_parameters() if not p.grad.isfinite().all()] == []
    assert [n for n, p in net.named_parameters() if not p.grad.any()] == []
    for out, want in zip(outs, net(x), strict=True):
        assert 0 < (out - want).std() < 0.05 * want.std()


@pytest.mark.parametrize('how', ['export', 'compile'])
def test_graphs_of_a_sixth_family_hold_for_every_size(sixth, how):
    arch = dict(dims=(8, 8, 8, 8), depths=(1, 1, 1, 1))
    net = sixth(arch=arch, out_indices=(0,)).eval().requires_grad_(False)
    if how == 'export':
        graph = capture(net, torch.randn(2, 3, 150, 131), free=True).module()
    else:
        torch.compiler.reset()
        graph = torch.compile(net, backend='eager', fullgraph=True, dynamic=True)
    for size in [(2, 3, 150, 131), (3, 3, 61, 98)]:
        x = torch.randn(size)
        for out, want in zip(graph(x), net(x), strict=True):
            assert torch.allclose(out, want, atol=1e-5)
