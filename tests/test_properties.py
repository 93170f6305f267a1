"""What holds for every backbone, whatever its arguments, its image and their dtype.

Each test draws cases; `--hypothesis-profile=fuzz --hypothesis-seed=N` draws more than 2,000.
"""

import math
from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from families import FAMILIES, build, every_class
from hypothesis import given
from hypothesis import strategies as st

from mmbackbones import no_recomputation

TOLERANCE = {torch.float: 1e-3, torch.double: 1e-8}
HALVES = (torch.bfloat16, torch.float16)
SIDES = st.integers(1, 130)
COMMON = dict(
    in_channels=st.integers(1, 4),
    out_indices=st.sets(st.integers(0, 3), min_size=1).map(sorted),
    frozen_stages=st.integers(-1, 4),
    norm_eval=st.booleans(),
    with_cp=st.booleans(),
    drop_path_rate=st.sampled_from([0.0, 0.2, 0.9]),
)
GRAD = st.sampled_from([nullcontext, torch.no_grad, torch.inference_mode])
MEMORY = st.sampled_from([nullcontext, no_recomputation])  # recomputation as usual, or none

LAYOUTS = {
    'channels last': lambda x: x.contiguous(memory_format=torch.channels_last),
    'turned': lambda x: x.mT.contiguous().mT,
    'batch last': lambda x: x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    'part of a larger one': lambda x: F.pad(x, (3, 2, 1, 4), value=torch.nan)[..., 1:-4, 3:-2],
    'every second column': lambda x: x.repeat_interleave(2, -1)[..., ::2],
}


def drawn(data, name, dtypes=tuple(TOLERANCE), most=3, **fixed):
    """A net in training mode or not, with a drawn seed and arguments, and an image for it.

    Batch norms learn from two images or more: one might be a single token.
    """
    torch.manual_seed(data.draw(st.integers(0, 2**16), 'seed'))
    arguments = (
        data.draw(st.fixed_dictionaries(COMMON | FAMILIES[name].options), 'arguments') | fixed
    )
    training, dtype = data.draw(st.booleans(), 'training'), data.draw(st.sampled_from(dtypes))
    batch = data.draw(st.integers(1 + training, most), 'batch')
    H, W = data.draw(SIDES, 'height'), data.draw(SIDES, 'width')
    net = build(name, **arguments).to(dtype).train(training)
    return net, torch.randn(batch, arguments['in_channels'], H, W).to(dtype)


def close(got, want):
    """Whether two tensors are the same but for rounding."""
    if not want.numel():
        return got.shape == want.shape
    error = (got - want).abs().max()
    return bool(error <= TOLERANCE[want.dtype] * (0.1 + want.abs().max()))


def state_of(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def changed(net, state):
    """Names of the parameters and buffers that are no longer what they were, bit for bit."""
    return [name for name, now in net.state_dict().items() if not torch.equal(now, state[name])]


@every_class
@given(data=st.data())
def test_any_image_gives_a_pyramid(name, data):
    """Shapes, dtype, finite numbers, the same again; image and net stay as they are."""
    net, x = drawn(data, name, (*TOLERANCE, *HALVES))
    autocast = data.draw(st.sampled_from([None, *HALVES])) if x.dtype == torch.float else None
    image, state = x.clone(), state_of(net.eval())
    precision = torch.autocast('cpu', autocast) if autocast else nullcontext()
    with data.draw(GRAD)(), precision, data.draw(MEMORY)():
        outs, again = net(x), net(x)
    assert isinstance(outs, tuple)
    for out, second, channels, stride in zip(
        outs, again, net.out_channels, net.out_strides, strict=True
    ):
        sides = (math.ceil(side / stride) for side in x.shape[2:])
        assert out.shape == (len(x), channels, *sides)
        assert out.is_contiguous()
        assert autocast or out.dtype == x.dtype
        assert out.isfinite().all()
        assert torch.equal(out, second)
    assert torch.equal(x, image)
    assert changed(net, state) == []


@every_class
@given(data=st.data())
def test_layout_recomputation_and_gradient_mode_change_nothing(name, data):
    net, x = drawn(data, name)
    with torch.no_grad():
        wanted = net.eval()(x)
    image = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))](x)
    with data.draw(GRAD)(), data.draw(MEMORY)():
        outs = net(image.requires_grad_(torch.is_grad_enabled() and data.draw(st.booleans())))
    assert all(close(out, want) for out, want in zip(outs, wanted, strict=True))


@every_class
@given(data=st.data())
def test_an_image_does_not_know_of_the_others(name, data):
    net, x = drawn(data, name)
    net.eval()
    which = data.draw(st.integers(0, len(x) - 1))
    others = data.draw(st.sampled_from([0.0, 1.0, 1e3]))  # what they are made of
    with data.draw(GRAD)():
        alone = net(x[which : which + 1])
        x[:which], x[which + 1 :] = others, others
        together = net(x)
    for one, every in zip(alone, together, strict=True):
        assert close(every[which : which + 1], one)


@every_class
@given(data=st.data())
def test_what_trains_learns_and_what_is_frozen_stays(name, data):
    net, x = drawn(data, name)
    state, held = state_of(net), [n for n, p in net.named_parameters() if not p.requires_grad]
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    x.requires_grad_(not trained or data.draw(st.booleans()))
    inputs = [*trained.values(), *[x] * x.requires_grad]
    with data.draw(MEMORY)():
        loss = sum(out.square().mean() for out in net(x))
        grads = torch.autograd.grad(loss, inputs)  # raises if one has none
    for tensor, grad in zip(inputs, grads, strict=True):
        assert grad.shape == tensor.shape
        assert grad.dtype == tensor.dtype
        assert grad.isfinite().all()
    moved = changed(net, state)
    assert not set(moved) & set(held)
    assert all('running' in each or 'batches' in each for each in moved)
    assert not moved or (net.training and not net.norm_eval)


@every_class
@given(data=st.data())
def test_checkpointing_changes_nothing_but_memory(name, data):
    usual, x = drawn(data, name, with_cp=False)
    saving, results = deepcopy(usual), []
    x.requires_grad = True
    for stage in saving.stages:
        stage.with_cp = True
    for net in (usual, saving):
        torch.manual_seed(1)
        outs = net(x)
        inputs = [x, *(p for p in net.parameters() if p.requires_grad)]
        grads = torch.autograd.grad(sum(out.square().mean() for out in outs), inputs)
        results.append([*outs, *grads, *net.buffers()])
    assert all(close(one.to(x), two.to(x)) for one, two in zip(*results, strict=True))


@every_class
@pytest.mark.parametrize('dtype', HALVES)
@given(data=st.data())
def test_half_precision_trains(name, dtype, data):
    """Under autocast or with a net of that dtype, outputs and gradients are finite."""
    net, x = drawn(data, name, (torch.float,))

    def loss_of(x):
        return sum(out.float().square().mean() for out in net(x))

    if data.draw(st.booleans(), 'autocast'):
        with torch.autocast('cpu', dtype):
            loss = loss_of(x.requires_grad_())
    else:
        net.to(dtype)
        loss = loss_of(x.to(dtype).requires_grad_())
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.requires_grad)
