"""Adapters, hooks, losses on inner layers and Grad-CAM work as with PyTorch's own modules."""

import copy
import math
from collections import Counter
from contextlib import nullcontext
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from families import build, every_class
from taken_apart import (
    ACTIVATIONS,
    CONVOLUTIONS,
    NORMS,
    SIZE,
    WATCHED,
    distance,
    in_training_too,
    recomputation_changes_nothing,
    total,
    watched,
    with_and_without_recomputation,
)
from torch import nn

from mmbackbones import no_recomputation
from mmbackbones.layers import (
    rows,
)


class LoraLinear(nn.Module):
    """A linear layer with an adapter of rank two, as one writes it by hand."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(2, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(0.1 * torch.randn(base.out_features, 2))

    def forward(self, x):
        return self.base(x) + x @ self.down.T @ self.up.T

    def merged(self):
        """The linear layer that does the same."""
        with torch.no_grad():
            self.base.weight += self.up @ self.down
        return self.base


def replace(net, kind, function):
    """Put function(module) in the place of every module of a kind."""
    for name, module in list(net.named_modules()):
        if type(module) is kind:
            parent, _, child = name.rpartition('.')
            setattr(net.get_submodule(parent), child, function(module))
    return net


@every_class
@in_training_too
def test_adapters_on_every_linear_layer_equal_merged_weights(name, training):
    x, linear = torch.randn(SIZE), Counter(map(type, build(name).modules()))[nn.Linear]
    net = replace(build(name), nn.Linear, LoraLinear).train(training)
    adapters = {n: m for n, m in net.named_modules() if isinstance(m, LoraLinear)}
    assert len(adapters) == linear
    merged = replace(copy.deepcopy(net), LoraLinear, LoraLinear.merged)
    wanted = merged(x)
    total(wanted).backward()
    for context in (nullcontext, no_recomputation):
        net.zero_grad()
        with context():
            outs = net(x)
        total(outs).backward()
        for out, want in zip(outs, wanted, strict=True):
            assert (out - want).abs().max() <= 1e-4 * want.std()
        for path, adapter in adapters.items():
            change = merged.get_submodule(path).weight.grad
            assert change.any()
            there = adapter.up.T @ change, change @ adapter.down.T
            assert distance((adapter.down.grad, adapter.up.grad), there) <= 1e-3, path


@every_class
def test_adapters_of_peft_equal_merged_weights(name):
    peft = pytest.importorskip('peft')
    net, x = build(name), torch.randn(SIZE)
    names = [n for n, m in net.named_modules() if type(m) is nn.Linear]
    config = peft.LoraConfig(target_modules=names, r=2, lora_alpha=1, init_lora_weights=False)
    net = peft.get_peft_model(net, config).train()
    adapters = {n: p for n, p in net.named_parameters() if p.requires_grad}
    assert len(adapters) == 2 * len(names)
    outs = net(x)
    total(outs).backward()
    assert [n for n, p in adapters.items() if not p.grad.any()] == []
    merged = net.merge_and_unload()
    for out, want in zip(outs, merged(x), strict=True):
        assert (out - want).abs().max() <= 1e-4 * want.std()


@every_class
@pytest.mark.parametrize('kinds', [nn.Module, (nn.Linear, *CONVOLUTIONS)], ids=['all', 'layers'])
@pytest.mark.parametrize('learning', [True, False], ids=['training', 'inference'])
def test_every_module_is_called_once(name, learning, kinds, monkeypatch):
    """Nothing is by backward, which computes norms again, and nothing for some rows at a time."""
    monkeypatch.setattr(rows, 'NUMBERS', 2**10)
    net, calls, x = build(name).train(learning), Counter(), torch.randn(SIZE)
    modules = {n: m for n, m in net.named_modules() if isinstance(m, kinds)}
    for path, module in modules.items():
        module.register_forward_hook(lambda *_, path=path: calls.update([path]))
    with torch.set_grad_enabled(learning):
        outs = net(x)
    if learning:
        total(outs).backward()
    lists = [path for path, module in modules.items() if isinstance(module, nn.ModuleList)]
    assert calls == Counter(modules.keys() - lists)


@every_class
@pytest.mark.parametrize(
    'kinds',
    [NORMS, ACTIVATIONS, (nn.Linear, *CONVOLUTIONS), WATCHED],
    ids=['norms', 'activations', 'layers', 'all'],
)
def test_every_hooked_output_gets_a_gradient(name, kinds):
    net, outs = build(name).train(), {}

    def keep(module, inputs, out, path):
        assert out.requires_grad
        out.retain_grad()
        outs[path] = out

    for path, module in net.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(partial(keep, path=path))
    total(net(torch.randn(SIZE))).backward()
    assert outs
    assert [path for path, out in outs.items() if not out.grad.isfinite().all()] == []
    assert [path for path, out in outs.items() if not out.grad.any()] == []


@every_class
@with_and_without_recomputation
def test_hooks_see_what_modules_get_and_return(name, context):
    """Nothing that they saw is overwritten later."""
    net, seen = build(name).train(), {}

    def keep(module, inputs, out):
        seen[module] = [(t, t.detach().clone()) for t in (*inputs, out)]

    for module in watched(net).values():
        module.register_forward_hook(keep)
    with context():
        net(torch.randn(SIZE))
    changed = [
        path
        for path, module in watched(net).items()
        if not all(torch.equal(now, then) for now, then in seen[module])
    ]
    assert changed == []
    for module, ((x, _), (out, _)) in seen.items():
        if isinstance(module, nn.Linear):
            assert torch.equal(out, F.linear(x, module.weight, module.bias))


@every_class
def test_backward_hooks_on_every_module_fire_once(name):
    net, calls = build(name).train(), Counter()

    def count(module, grad_inputs, grad_outputs, path):
        assert grad_outputs[0].isfinite().all()
        calls.update([path])

    for path, module in watched(net).items():
        module.register_full_backward_hook(partial(count, path=path))
    total(net(torch.randn(SIZE))).backward()
    assert calls == Counter(watched(net).keys())


@every_class
def test_hooks_may_change_what_passes(name):
    net, x = build(name).double().train(), torch.randn(SIZE, dtype=torch.double)
    before = net(x)[0]
    # Not on layers after them: what these keep shows whether the norm's hooks were forgotten.
    for module in (m for m in net.modules() if isinstance(m, (*NORMS, *ACTIVATIONS))):
        module.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 1.2,))
        module.register_forward_hook(lambda module, inputs, out: out * 0.9 + 0.1)
    assert not torch.allclose(net(x)[0], before)
    assert recomputation_changes_nothing(net, x)


@every_class
def test_a_loss_on_any_norm_reaches_the_first_layer(name):
    """As in distillation, where features of inner layers are compared with a teacher's."""
    net, x, features = build(name).double().train(), torch.randn(SIZE, dtype=torch.double), {}
    for path, module in net.named_modules():
        if isinstance(module, NORMS):
            module.register_forward_hook(lambda m, i, out, path=path: features.update({path: out}))
    first = next(m for m in net.stem.modules() if isinstance(m, CONVOLUTIONS)).weight
    slopes = []
    for context in (nullcontext, no_recomputation):
        with context():
            net(x)
        losses = {path: out.sin().mean() for path, out in features.items()}
        slopes.append(torch.autograd.grad(sum(losses.values()), first, retain_graph=True))
    assert distance(*slopes) <= 1e-9
    for path, loss in losses.items():
        assert torch.autograd.grad(loss, first, retain_graph=True)[0].abs().max() > 1e-9, path


@every_class
def test_class_activation_maps_of_the_last_block_of_each_stage(name):
    net, outs = build(name).eval(), {}

    def keep(module, inputs, out):
        out.retain_grad()
        outs[module] = out

    last = [stage.blocks[-1] for stage in net.stages if len(stage.blocks)]
    for block in last:
        block.register_forward_hook(keep)
    net(torch.randn(SIZE))[-1].square().mean().backward()
    sizes = [tuple(math.ceil(side / s) for side in SIZE[2:]) for s in net.strides]
    for block in last:
        out = outs[block]
        assert out.grad.shape == out.shape
        assert out.shape[0] == SIZE[0]
        assert out.shape[1:3] in sizes
        sizes = sizes[sizes.index(out.shape[1:3]) + 1 :]
        assert out.grad.isfinite().all()
        cam = (out * out.grad.mean((1, 2), keepdim=True)).sum(-1)  # of either sign, by chance
        assert cam.any()
