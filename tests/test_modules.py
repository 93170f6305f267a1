"""Backbones taken apart: what people do with PyTorch's modules works with all of ours."""

import copy
import io
import logging
import math
import warnings
from collections import Counter
from contextlib import nullcontext, suppress
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from families import TINY, build, every_class
from lib.engine_graphs import capture
from lib.memory import Storages, kept
from torch import nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
)
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations, prune
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

import mmbackbones
from mmbackbones import no_recomputation
from mmbackbones.backbone import Backbone, Stage, arch_settings
from mmbackbones.layers import (
    Block,
    ChannelsFirst,
    Mlp,
    PatchEmbed,
    PatchMerging,
    drop_path_rates,
    recomputation,
    rows,
)
from mmbackbones.registry import MODELS

SIZE = (2, 3, 37, 61)  # odd, and with less than a window in the last stages
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
NORMS = (nn.LayerNorm, nn.BatchNorm2d)
ACTIVATIONS = (nn.GELU, nn.ReLU, nn.SiLU)
WATCHED = (nn.Linear, *CONVOLUTIONS, *NORMS, *ACTIVATIONS)

with_and_without_recomputation = pytest.mark.parametrize(
    'context', [nullcontext, no_recomputation], ids=['recomputation', 'none']
)
in_training_too = pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])


@pytest.fixture(scope='module', autouse=True)
def _no_logs():
    """Of PyTorch's compiler, whose every symbol takes time."""
    logging.disable(logging.DEBUG)
    yield
    logging.disable(logging.NOTSET)


def total(outs):
    """A number that depends on all outputs."""
    return sum(out.square().mean() for out in outs)


def watched(net):
    """{name: module} of every norm, activation, linear layer and convolution."""
    return {name: m for name, m in net.named_modules() if isinstance(m, WATCHED)}


def grads(net, x, context=nullcontext, loss=total):
    """The gradients of a loss of the outputs in every parameter."""
    with context():
        value = loss(net(x))
    return torch.autograd.grad(value, list(net.parameters()))


def distance(found, wanted):
    """The largest difference of two lists of tensors, each in units of its own size."""
    pairs = zip(found, wanted, strict=True)
    return torch.stack([(a - b).abs().max() / (1e-3 + b.abs().max()) for a, b in pairs]).max()


def recomputation_changes_nothing(net, x, limit=1e-9):
    """Whether recomputation changes nothing, with whatever was done to the net."""
    found = []
    for context in (nullcontext, no_recomputation):
        torch.manual_seed(1)
        found.append(grads(net, x, context))
    return distance(*found) <= limit


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
        cam = (out * out.grad.mean((1, 2), keepdim=True)).sum(-1).relu()
        assert cam.any()


def penalty(net, x):
    """The square of the outputs' slope in the image, and its own gradients in the parameters."""
    x = x.clone().requires_grad_()
    # No fused kernel of PyTorch has a second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        (slope,) = torch.autograd.grad(total(net(x)), x, create_graph=True)
        square = slope.square().sum()
        wanted = [p for p in net.parameters() if p.requires_grad]
        return square.item(), torch.autograd.grad(square, wanted, materialize_grads=True)


@every_class
def test_double_backward(name):
    net, x = build(name).double().train(), torch.randn(SIZE, dtype=torch.double)
    before, found = penalty(net, x)
    with no_recomputation():
        _, wanted = penalty(net, x)
    assert distance(found, wanted) <= 1e-9
    way, step = [p * torch.randn_like(p) for p in net.parameters()], 1e-6
    with torch.no_grad():
        torch._foreach_add_(list(net.parameters()), way, alpha=step)
    after, _ = penalty(net, x)
    slope = sum((g * w).sum().item() for g, w in zip(found, way, strict=True))
    assert (after - before) / step == pytest.approx(slope, rel=1e-2)


def state(net):
    """All parameters and buffers, as `functional_call` takes them."""
    return dict(net.named_parameters()), dict(net.named_buffers())


@every_class
def test_function_transforms(name):
    net, x = build(name).double().eval(), torch.randn(SIZE, dtype=torch.double)
    parameters, buffers = state(net)

    def loss(parameters, image):
        return total(functional_call(net, (parameters, buffers), image[None]))

    wanted = [grads(net, image[None]) for image in x]
    assert distance(grad(loss)(parameters, x[0]).values(), wanted[0]) <= 1e-9
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='There is a performance drop')
        outs = vmap(lambda image: net(image[None]))(x)
        each = vmap(grad(loss), (None, 0))(parameters, x)
    assert distance([out[:, 0] for out in outs], net(x)) <= 1e-9
    for i, want in enumerate(wanted):
        assert distance([g[i] for g in each.values()], want) <= 1e-9


@every_class
def test_an_ensemble_by_vmap(name):
    nets, x = [build(name).double().eval() for _ in range(2)], torch.randn(SIZE).double()
    weights = stack_module_state(nets)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='There is a performance drop')
        outs = vmap(partial(functional_call, nets[0]), (0, None))(weights, x)
    for i, net in enumerate(nets):
        assert distance([out[i] for out in outs], net(x)) <= 1e-9


@every_class
def test_half_precision_weights_beside_other_buffers(name):
    """As FSDP's mixed precision has them; it leaves batch norms as they are."""
    net, x = build(name).eval(), torch.randn(SIZE)
    norms = [path for path, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)]
    weights = {
        path: p if path.rpartition('.')[0] in norms else p.bfloat16()
        for path, p in net.named_parameters()
    }
    for out, want in zip(functional_call(net, weights, x.bfloat16()), net(x), strict=True):
        assert 0 < (out - want).std() < 0.1 * want.std()


@every_class
def test_backward_after_a_call_with_other_weights(name):
    """As in meta-learning: the weights are the net's own no more when backward begins."""
    net, x = build(name).double().eval(), torch.randn(SIZE, dtype=torch.double)
    others = {n: (1.2 * p.detach()).requires_grad_() for n, p in net.named_parameters()}
    outs = functional_call(net, others, x)
    found = torch.autograd.grad(total(outs), list(others.values()))
    net.load_state_dict(others, strict=False)
    assert distance(found, grads(net, x)) <= 1e-9


@every_class
def test_dynamic_quantisation_takes_every_linear_layer(name):
    net, x = build(name).eval(), torch.randn(SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        small = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    kinds = Counter(map(type, small.modules()))
    linear = Counter(map(type, net.modules()))[nn.Linear]
    assert (kinds[nn.Linear], kinds[torch.ao.nn.quantized.dynamic.Linear]) == (0, linear)
    with torch.no_grad():
        for out, want in zip(small(x), net(x), strict=True):
            assert 0 < (out - want).std() < 0.1 * want.std()


@every_class
def test_stages_can_be_called_one_by_one(name):
    net, x = build(name).eval(), torch.randn(SIZE)
    tokens, outs = net.stem(x), net(x)
    for i, (stage, out) in enumerate(zip(net.stages, outs, strict=True)):
        tokens = stage(tokens)
        level = net.output(i, tokens).permute(0, 3, 1, 2)
        assert torch.allclose(level[:, :, : out.shape[2], : out.shape[3]], out, atol=1e-5)


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


@every_class
def test_copies_and_files_of_whole_nets(name):
    """In the middle of a training step, too."""
    net, x = build(name).train(), torch.randn(SIZE)
    outs = net(x)
    double, file = copy.deepcopy(net), io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    wanted = torch.autograd.grad(total(outs), list(net.parameters()))
    for other in (double, torch.load(file, weights_only=False)):
        assert other is not net
        assert distance(grads(other, x), wanted) <= 1e-6
        with torch.no_grad():
            next(other.parameters()).zero_()
    assert all(p.any() for p in net.parameters())
    copies = copy.deepcopy([double, double.eval()(x)[0].detach()])
    assert torch.equal(copies[0](x)[0], copies[1])


@every_class
@in_training_too
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_maps_between_blocks_lie_with_their_channels_last(name, training, layout):
    net, wrong = build(name).train(training), []

    def look(block, inputs, path):
        if not inputs[0].is_contiguous():
            wrong.append((path, inputs[0].shape, inputs[0].stride()))

    blocks = [(path, m) for path, m in net.named_modules() if mmbackbones.is_block(m)]
    for path, block in blocks:
        block.register_forward_pre_hook(partial(look, path=path))
    net(torch.randn(SIZE).contiguous(memory_format=layout))
    assert blocks
    assert wrong == []


class HostCalls(TorchFunctionMode):
    """A context that notes functions which make tensors of numbers of the host, or the reverse."""

    functions = {torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy}
    methods = {torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy}

    def __enter__(self):
        self.found = set()
        return super().__enter__()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.functions | self.methods:
            self.found.add(func.__name__)
        return func(*args, **(kwargs or {}))


class HostTensors(TorchDispatchMode):
    """A context that notes operators on tensors of the host, and those that wait for a device."""

    waiting = ('_local_scalar_dense', 'nonzero', 'masked_select', 'is_nonzero')

    def __enter__(self):
        self.found = set()
        return super().__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        masks = 'index' in func.__name__ and any(t.dtype is torch.bool for t in tensors[1:])
        if func.__name__.startswith(self.waiting) or masks:
            self.found.add(func.__name__)
        if any(t.device.type == 'cpu' for t in tensors):
            self.found.add(f'{func.__name__} of a tensor on the host')
        return func(*args, **(kwargs or {}))


@every_class
def test_nothing_is_made_on_the_host(name):
    """A device without numbers stands for a GPU."""
    with torch.device('meta'):
        net, x = build(name, 0.3).train(), torch.randn(SIZE)
    with HostCalls() as calls, HostTensors() as tensors:
        grads(net, x)
    assert calls.found | tensors.found == set()


class SaysCuda(torch.Tensor):
    """A tensor on the CPU that says it is on a GPU, as all that is made of it does."""

    is_cuda = True


@every_class
def test_attention_kernels_are_chosen_once_for_a_pass(name, monkeypatch):
    """And only among those that the caller allows."""
    net, calls, inside = build(name).eval(), [], []
    choose, cuda = torch._C._set_sdp_use_cudnn, torch.backends.cuda
    monkeypatch.setattr(torch._C, '_set_sdp_use_cudnn', lambda on: calls.append(on) or choose(on))

    def look(*_):
        inside.append((cuda.cudnn_sdp_enabled(), cuda.flash_sdp_enabled(), cuda.math_sdp_enabled()))

    net.stem.register_forward_hook(look)
    x = torch.randn(SIZE).as_subclass(SaysCuda)
    net(x)
    assert calls == [False, True]
    for kernel in (SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION):
        with sdpa_kernel(kernel), suppress(RuntimeError):  # a CPU has no such kernel
            net(x)
    assert inside == [(False, True, True), (False, False, True), (True, False, False)]


@every_class
def test_blocks_can_be_compiled_one_by_one(name):
    net, x = build(name).double().train(), torch.randn(SIZE, dtype=torch.double)
    wanted = grads(net, x)
    torch.compiler.reset()
    block = [block for block in net.modules() if mmbackbones.is_block(block)][-1]
    block.compile(backend='eager', fullgraph=True)
    assert distance(grads(net, x), wanted) <= 1e-9


class Neighbourhood(nn.Module):
    """A mixer in plain PyTorch: what a token's neighbours have more than itself."""

    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        image = x.permute(0, 3, 1, 2)
        mean = F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
        return self.proj((mean - image).permute(0, 2, 3, 1))


class ConvMlp(nn.Module):
    """An MLP with a depthwise convolution between its linear layers."""

    def __init__(self, dim):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        self.conv = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, groups=2 * dim)

    def forward(self, x):
        x = self.conv(self.fc1(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.fc2(self.act(x))


class Sixth(Backbone):
    """A family as a contributor adds it."""

    archs = {'tiny': dict(dims=(8, 16, 24, 32), depths=(1, 2, 1, 1))}

    def __init__(self, arch='tiny', *, in_channels=3, drop_path_rate=0.0, **common):
        dims, depths = arch_settings(self.archs, arch)
        merges = [None, *(PatchMerging(*pair) for pair in pairwise(dims))]
        rates = drop_path_rates(drop_path_rate, depths)
        stages = [
            Stage([Block(dim, Neighbourhood(dim), rate, ConvMlp(dim)) for rate in row], merge)
            for dim, row, merge in zip(dims, rates, merges, strict=True)
        ]
        super().__init__(PatchEmbed(in_channels, dims[0]), stages, dims, **common)


@pytest.fixture
def sixth():
    """A function that builds nets by the registered name, which is forgotten afterwards."""
    MODELS.register_module(module=Sixth)
    yield lambda **kwargs: MODELS.build(dict(type='mmbackbones.Sixth', **kwargs))
    del MODELS.module_dict['Sixth']


@pytest.mark.parametrize('size', [(61, 97), (64, 64), (1, 1), (5, 1), (301, 1203)])
def test_a_sixth_family_takes_any_size(sixth, size):
    """Large maps are nowhere cut where tokens meet."""
    net, x = sixth().train(), torch.randn(2, 3, *size)
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
    net, x = sixth(drop_path_rate=0.3).double().train(), torch.randn(SIZE).double()
    saving = sixth(drop_path_rate=0.3, with_cp=True).double().train()
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
