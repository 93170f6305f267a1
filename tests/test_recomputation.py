"""What backward computes again: nothing changes but the memory, whatever is done meanwhile."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from families import build, every_class
from lib.memory import Storages, kept
from taken_apart import CONVOLUTIONS, SIZE, distance, grads, total, with_and_without_recomputation
from torch import nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
)
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint
from versions import needs_recomputation

import mmbackbones
from mmbackbones import no_recomputation
from mmbackbones.layers import (
    Block,
    ChannelsFirst,
    Mlp,
    recomputation,
)


@every_class
@pytest.mark.parametrize('with_cp', [False, True])
def test_recomputation_is_exact_under_autocast(name, with_cp):
    """Outputs, gradients, and what batch norms have counted and averaged."""
    usual, x, found = build(name, 0.3), torch.randn(SIZE), []
    saving = build(name, 0.3, with_cp=with_cp)
    saving.load_state_dict(usual.state_dict())
    for net, context in ((saving, nullcontext), (usual, no_recomputation)):
        torch.manual_seed(1)
        with context(), torch.autocast('cpu', torch.bfloat16):
            outs = net.train()(x)
        slopes = torch.autograd.grad(total(out.float() for out in outs), list(net.parameters()))
        found.append([*outs, *slopes, *net.buffers()])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@needs_recomputation
@every_class
def test_recomputation_keeps_less_under_autocast(name):
    net, x = build(name).train(), torch.randn(1, 3, 97, 128)
    with torch.autocast('cpu', torch.bfloat16):
        net(x)  # so that rounded weights are not counted, which autocast makes once
        found = kept(lambda: net(x))
        with no_recomputation():
            assert found < 0.95 * kept(lambda: net(x))


class Peak(Storages):
    """A context that knows the most bytes that were alive at a time inside, in `most`."""

    most = 0

    def __torch_dispatch__(self, *args, **kwargs):
        out = super().__torch_dispatch__(*args, **kwargs)
        self.sizes = [(ref, size) for ref, size in self.sizes if not ref.expired()]
        self.most = max(self.most, sum({ref.cdata: size for ref, size in self.sizes}.values()))
        return out


@every_class
@pytest.mark.parametrize('wrapped', [False, True])
def test_checkpoints_hold_nothing_until_the_pass_ends(name, wrapped):
    """Ours, and those that somebody wraps around blocks, as mmengine does under FSDP."""
    net, x, peaks = build(name, with_cp=not wrapped).train(), torch.randn(1, 3, 97, 128), []
    if wrapped:
        apply_activation_checkpointing(net, check_fn=mmbackbones.is_block)
    net(x)
    for context in (nullcontext, no_recomputation):
        with context(), Peak() as peak:
            net(x)
        peaks.append(peak.most)
    assert peaks[0] <= 1.02 * peaks[1]


@pytest.mark.parametrize('act', [nn.GELU, nn.SiLU, nn.ReLU, nn.Tanh, nn.Hardswish, nn.Identity])
def test_recomputation_never_keeps_more(act):
    mlp, x, found = Mlp(8, act=act), torch.randn(1, 9, 9, 8, requires_grad=True), []
    for context in (recomputation, no_recomputation):
        with context():
            found.append(kept(lambda: mlp(x)))
    assert found[0] <= found[1]


@every_class
@with_and_without_recomputation
def test_a_forward_pass_without_backward_leaves_nothing(name, context):
    net, x = build(name).train(), torch.randn(SIZE)
    net(x)
    with context(), Storages() as made:
        outs = net(x)
        assert any(not ref.expired() for ref, _ in made.sizes)
        del outs
    assert sum(size for ref, size in made.sizes if not ref.expired()) == 0


@every_class
def test_other_hooks_on_what_autograd_keeps_stay_in_force(name):
    """Offloading to the CPU, or a checkpoint around the whole net."""
    net, x, seen = build(name).train(), torch.randn(SIZE), []
    with saved_tensors_hooks(lambda t: seen.append(t.shape) or t, lambda t: t):
        net(x)
    assert len(seen) > len(list(net.parameters())) / 2
    whole = kept(lambda: net(x))
    assert kept(lambda: checkpoint(net, x, use_reentrant=False)) < whole / 4
    with save_on_cpu():
        outs = net(x)
    found = torch.autograd.grad(total(outs), list(net.parameters()))
    assert distance(found, grads(net, x)) <= 1e-5


def one_of_each_kind(net):
    """{name: parameter}, one for every kind of module and name in it."""
    found = {}
    for path, module in net.named_modules():
        for name, parameter in module.named_parameters(path, recurse=False):
            found[type(module), name.rpartition('.')[2]] = name, parameter
    return dict(found.values())


def right_or_refused(outs, parameters, wanted):
    """Whether backward gives what it would have given before, or an error about a change."""
    try:
        return distance(torch.autograd.grad(total(outs), parameters), wanted) <= 1e-9
    except RuntimeError as error:
        return 'modified by an inplace operation' in str(error)


@every_class
def test_a_changed_weight_gives_no_wrong_gradients(name):
    net, x = build(name).double().train(), torch.randn(SIZE, dtype=torch.double)
    parameters, wanted = list(net.parameters()), grads(net, x)
    for path, weight in one_of_each_kind(net).items():
        outs = net(x)
        with torch.no_grad():
            weight.mul_(2)
        assert right_or_refused(outs, parameters, wanted), path
        with torch.no_grad():
            weight.div_(2)


@every_class
def test_a_changed_activation_gives_no_wrong_gradients(name):
    net, x = build(name).double().train(), torch.randn(SIZE, dtype=torch.double)
    parameters, wanted, seen = list(net.parameters()), grads(net, x), {}
    # Not the others: hooks would keep their results from being computed again.
    modules = [m for m in net.modules() if isinstance(m, (nn.Linear, *CONVOLUTIONS))]
    for module in modules:
        module.register_forward_hook(lambda m, i, out: seen.update({type(m): out}))
    for kind in set(map(type, modules)):
        outs = net(x)
        with torch.no_grad():
            seen[kind].mul_(2)
        assert right_or_refused(outs, parameters, wanted), kind


@every_class
def test_evaluation_mode_before_backward_changes_nothing(name):
    net, x = build(name, 0.3).double().train(), torch.randn(SIZE, dtype=torch.double)
    outs = net(x)
    wanted = torch.autograd.grad(total(outs), list(net.parameters()), retain_graph=True)
    net.eval()
    found = torch.autograd.grad(total(outs), list(net.parameters()))
    assert all(torch.equal(one, two) for one, two in zip(found, wanted, strict=True))


class BatchNormBlock(Block):
    """A block with batch norms."""

    def norm(self, dim):
        return ChannelsFirst(nn.BatchNorm2d(dim))


PARTS = {
    'in place': lambda: Block(8, nn.Identity(), mlp=Mlp(8, act=partial(nn.SiLU, inplace=True))),
    'random': lambda: Block(8, nn.Identity(), mlp=Mlp(8, act=nn.RReLU)),
    'dropout': lambda: Block(8, nn.Identity(), mlp=Mlp(8, act=partial(nn.Dropout, 0.5))),
    'none': lambda: Block(8, nn.Identity(), mlp=Mlp(8, act=nn.Identity)),
    'batch norm': lambda: BatchNormBlock(8, nn.Identity()),
    'parametrised': lambda: weight_normed(Block(8, nn.Identity())),
    'pruned': lambda: pruned(Block(8, nn.Identity())),
}


def pruned(block):
    """Some weights of a norm at zero, by a hook that sets them before each call."""
    prune.random_unstructured(block.norm2, 'weight', 0.5)
    return block


def weight_normed(block):
    """A norm whose weight is computed in each call."""
    parametrizations.weight_norm(block.norm2, dim=None)
    return block


@pytest.mark.parametrize('part', PARTS)
def test_blocks_take_parts_of_any_kind(part):
    block, found = PARTS[part]().double().train(), []
    x = torch.randn(2, 5, 7, 8, dtype=torch.double)
    for context in (recomputation, no_recomputation):
        torch.manual_seed(1)
        with context():
            out = block(x)
        block.eval()
        found.append(torch.autograd.grad(out.square().mean(), list(block.parameters())))
        block.train()
    assert distance(*found) <= 1e-9
