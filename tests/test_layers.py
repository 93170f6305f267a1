"""Invariants of the layers, against brute force where there is one."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mmbackbones import layers
from mmbackbones.layers import (
    RelativeBias,
    WindowAttention,
    fused_attention,
    offset_index,
    pad_to,
    shift_mask,
    shift_merge,
    shift_split,
    window_merge,
    window_split,
)
from mmbackbones.layers.attention import cuda_attention


@pytest.mark.parametrize('hw', [(4, 4), (8, 12), (12, 4)])
def test_windows_merge_to_what_was_split(hw):
    x = torch.randn(2, *hw, 3)
    windows = window_split(x, 4)
    assert windows.shape == (2 * hw[0] * hw[1] // 16, 16, 3)
    assert torch.equal(windows[0].view(4, 4, 3), x[0, :4, :4])
    assert torch.equal(window_merge(windows, 4, hw), x)


def test_padding_is_at_the_end_and_absent_where_not_needed():
    x = torch.randn(2, 5, 8, 3)
    assert pad_to(x[:, :4], 4).data_ptr() == x.data_ptr()
    zeros, value = pad_to(x, 4), torch.tensor([1.0, 2, 3])
    assert torch.equal(zeros, F.pad(x, (0, 0, 0, 0, 0, 3)))
    filled = pad_to(x[:, :, :7], 4, value)
    assert filled.shape == (2, 8, 8, 3)
    assert torch.equal(filled[:, :5, :7], x[:, :, :7])
    assert (filled[:, 5:] == value).all()
    assert (filled[:, :, 7:] == value).all()


@pytest.mark.parametrize(
    ('length', 'size', 'shift'), [(12, 4, 2), (4, 4, 2), (14, 7, 3), (6, 3, 1)]
)
def test_shift_is_a_roll(length, size, shift):
    x = torch.arange(2 * length * 3).view(2, length, 3)
    parts = shift_split(x, size, shift, axis=1)
    assert torch.equal(torch.cat(parts, 1), x.roll(-shift, 1))
    assert torch.equal(shift_merge(*parts, size, shift, axis=1), x)


@pytest.mark.parametrize(('size', 'shift'), [(4, 2), (7, 3), (3, 1)])
def test_shift_mask_against_brute_force(size, shift):
    """Two tokens of a rolled window see each other if one shifted window held both before."""
    windows = window_split(shifted_windows(3 * size, 3 * size, size, shift), size).tolist()
    masks = shift_mask(size, shift)
    for number, tokens in enumerate(windows):
        row, column = number // 3 == 2, number % 3 == 2
        for (i, a), (j, b) in itertools.product(enumerate(tokens), enumerate(tokens)):
            assert masks[int(row), int(column), i, j] == (0 if a == b else -100)


def shifted_windows(height, width, size, shift):
    """(1, H, W, 2): which shifted window a token is in, by row and column, after the roll."""
    axes = [(torch.arange(side) + size - shift) // size for side in (height, width)]
    place = torch.stack(torch.meshgrid(*axes, indexing='ij'), -1)
    return place.roll((-shift, -shift), (0, 1))[None]


def test_offset_index_tells_apart_exactly_the_offsets():
    size = 3
    index = offset_index(size)
    places = list(itertools.product(range(size), repeat=2))
    offsets = {}
    for (i, a), (j, b) in itertools.product(enumerate(places), enumerate(places)):
        offsets.setdefault((a[0] - b[0], a[1] - b[1]), set()).add(index[i, j].item())
    assert all(len(found) == 1 for found in offsets.values())
    assert sorted(*zip(*offsets.values(), strict=True)) == list(range((2 * size - 1) ** 2))


def test_bias_resize_keeps_a_smooth_table():
    small, large = RelativeBias(4, 2), RelativeBias(7, 2)
    slope = torch.linspace(-1, 1, 7)[:, None].expand(7, 7).reshape(-1, 1).expand(-1, 2)
    resized = large.fit(slope.clone())
    assert resized.shape == large.relative_position_bias_table.shape
    rows = resized.view(13, 13, 2)
    assert torch.allclose(rows, rows[:, :1].expand(-1, 13, -1), atol=1e-6)
    assert (rows[1:] - rows[:-1] > 0).all()
    assert torch.equal(small.fit(slope.clone()), slope)


def plain_attention(q, k, v, bias=None, scale=None):
    """What `fused_attention` means, step by step."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    logits = scale * q @ k.mT
    return (logits if bias is None else logits + bias).softmax(-1) @ v


@pytest.mark.parametrize('with_bias', [True, False])
def test_fused_attention_equals_plain_in_forward_and_all_gradients(with_bias, monkeypatch):
    monkeypatch.setattr(layers.attention.BiasGradient, 'chunk', 3 * 2 * 49 * 49)  # several chunks
    monkeypatch.setattr(layers.attention, 'CUDA_BATCH', 3)
    qkv = torch.randn(8, 49, 3, 2, 16, dtype=torch.double)
    bias = torch.randn(1, 2, 49, 49, dtype=torch.double)
    results = []
    for function in (plain_attention, fused_attention, cuda_attention):
        leaves = [qkv.clone().requires_grad_(), bias.clone().requires_grad_()]
        q, k, v = leaves[0].permute(2, 0, 3, 1, 4)
        out = function(q, k, v, leaves[1] if with_bias else None)
        grads = torch.autograd.grad(out.square().sum(), leaves[: 1 + with_bias])
        results.append((out.detach(), *grads))
    for plain, *others in zip(*results, strict=True):
        assert all(torch.allclose(plain, other, rtol=1e-5, atol=1e-6) for other in others)


def test_bias_gradient_of_many_windows_keeps_its_precision_in_bfloat16(monkeypatch):
    monkeypatch.setattr(layers.attention.BiasGradient, 'chunk', 2 * 16 * 16)  # a window at a time
    qkv = torch.randn(2000, 16, 3, 2, 8).bfloat16()
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    grads = []
    for function, cast in ((plain_attention, torch.Tensor.double), (fused_attention, lambda t: t)):
        bias = torch.zeros(1, 2, 16, 16).bfloat16().requires_grad_()
        function(*(cast(t) for t in (q, k, v)), cast(bias)).double().square().sum().backward()
        grads.append(bias.grad.double())
    assert (grads[0] - grads[1]).std() < 0.02 * grads[0].std()


def test_training_stays_on_the_fused_kernel():
    block = WindowAttention(32, 2, 4, 2, RelativeBias(4, 2))
    with torch.profiler.profile() as profile:
        block(torch.randn(1, 8, 8, 32)).sum().backward()
    names = {event.key for event in profile.key_averages()}
    assert 'aten::_scaled_dot_product_flash_attention_for_cpu' in names
    assert 'aten::_scaled_dot_product_flash_attention_for_cpu_backward' in names
    assert 'aten::_scaled_dot_product_attention_math' not in names


@pytest.mark.parametrize('hw', [(8, 8), (7, 10), (4, 4), (1, 3), (13, 4)])
@pytest.mark.parametrize('shift', [0, 2])
def test_window_attention_equals_pad_roll_split_mask(hw, shift):
    """Against the order of the official code, on whole maps with one mask per window."""
    net = WindowAttention(16, 2, 4, shift, RelativeBias(4, 2)).double()
    torch.nn.init.normal_(net.qkv.bias)
    x = torch.randn(2, *hw, 16, dtype=torch.double, requires_grad=True)
    fast = net(x)
    slow = roll_and_mask(net, x, shift)
    assert torch.allclose(fast, slow, atol=1e-9)
    leaves = [x, *net.parameters()]
    grads = [torch.autograd.grad(y.pow(3).sum(), leaves) for y in (fast, slow)]
    for got, want in zip(*grads, strict=True):
        assert torch.allclose(got, want, rtol=1e-5, atol=1e-6)


def roll_and_mask(net, x, shift, size=4):
    """Windowed attention as the official detection code orders it, without any shortcut."""
    H, W = x.shape[1:3]
    x = pad_to(x, size)
    h, w = x.shape[1:3]
    windows = window_split(x.roll((-shift, -shift), (1, 2)), size)
    place = window_split(shifted_windows(h, w, size, shift), size)
    apart = (place[:, :, None] != place[:, None]).any(-1)
    mask = -100.0 * apart.double().repeat(len(x), 1, 1)[:, None]
    q, k, v = net.qkv(windows).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    out = plain_attention(q, k, v, net.bias() + mask).transpose(1, 2).flatten(2)
    out = window_merge(out, size, (h, w)).roll((shift, shift), (1, 2))
    return net.proj(out[:, :H, :W])


def test_drop_path_keeps_the_mean_and_drops_whole_samples():
    drop = layers.DropPath(0.25).train()
    out = drop(torch.ones(4000, 2, 2))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (out == out[:, :1, :1]).all()
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(out), out)


def test_drop_path_rates_rise_evenly():
    rates = layers.drop_path_rates(0.3, (2, 2))
    assert [len(stage) for stage in rates] == [2, 2]
    assert [*rates[0], *rates[1]] == pytest.approx([0, 0.1, 0.2, 0.3])
