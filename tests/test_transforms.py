"""Second derivatives, `torch.func`, and calls with other weights than the net's own."""

import warnings
from functools import partial

import pytest
import torch
from families import build, every_class
from taken_apart import SIZE, distance, grads, total
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmbackbones import no_recomputation


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
