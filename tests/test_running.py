"""Nets as they run: quantised, copied, in parts, compiled, without detours over the host."""

import copy
import io
import warnings
from collections import Counter
from contextlib import suppress
from functools import partial

import pytest
import torch
from families import build, every_class
from taken_apart import (
    SIZE,
    distance,
    grads,
    in_training_too,
    total,
)
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import mmbackbones

pytestmark = pytest.mark.usefixtures('without_logs')


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
