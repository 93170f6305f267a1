"""Invariants of the layers, against brute force where there is one."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mmbackbones import layers
from mmbackbones.layers import (
    GridAttention,
    MaskedWindowAttention,
    RelativeBias,
    WindowAttention,
    apart,
    between_tokens,
    fused_attention,
    grid_join,
    grid_runs,
    pad_to,
    window_join,
    window_runs,
)
from mmbackbones.layers.attention import cuda_attention

LENGTHS = [(12, 12), (12, 9), (12, 11), (8, 5), (4, 4), (4, 1)]  # padded, of the map


def split(x, runs):
    """Cut (B, H, W, C) along both axes, and put the parts together without attention."""
    bands = [torch.cat([part for part, _ in runs(band, 3)], 3) for band, _ in runs(x, 1)]
    return torch.cat(bands, 1)


@pytest.mark.parametrize(('padded', 'length'), LENGTHS)
@pytest.mark.parametrize('shift', [0, 1, 2])
def test_windows_join_to_what_was_split(padded, length, shift):
    x = torch.randn(2, padded, 8, 3)
    lengths = {1: length, 3: 8}
    windows = split(x, lambda x, axis: window_runs(x, axis, 4, shift, lengths[axis]))
    assert windows.shape == (2, padded // 4, 4, 2, 4, 3)
    assert torch.equal(windows[:, 0, :, 0], x.roll((-shift, -shift), (1, 2))[:, :4, :4])
    assert torch.equal(window_join(windows, shift), x)


@pytest.mark.parametrize(('padded', 'length'), LENGTHS)
def test_grids_join_to_what_was_split(padded, length):
    x = torch.randn(2, padded, 8, 3)
    lengths = {1: length, 3: 8}
    grids = split(x, lambda x, axis: grid_runs(x, axis, 4, lengths[axis]))
    assert grids.shape == (2, padded // 4, 4, 2, 4, 3)
    assert torch.equal(grids[:, 0, :, 1], x[:, :: padded // 4, 1::2])  # strided windows
    assert torch.equal(grid_join(grids), x)


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


@pytest.mark.parametrize('length', [12, 11, 9])
def test_runs_without_numbers_hold_neither_padding_nor_both_ends(length):
    tokens = torch.arange(12).view(1, 12, 1, 1)
    for shift in (0, 1, 3):
        for part, places in window_runs(tokens, 1, 4, shift, length):
            windows = part.flatten(2)[0].tolist()
            plain = all(w == list(range(w[0], w[0] + 4)) and w[-1] < length for w in windows)
            assert plain == (places is None)
    for part, places in grid_runs(tokens, 1, 4, length):
        windows = part.flatten(2)[0].tolist()
        assert all((max(w) < length) == (places is None) for w in windows)


def test_apart_compares_rows_and_columns():
    rows, columns = torch.tensor([0, 1]), torch.tensor([5, 5])
    same = torch.zeros(4, 4, dtype=torch.bool)
    assert torch.equal(
        apart(rows, columns, 2), torch.tensor([0, 0, 1, 1])[:, None] != torch.tensor([0, 0, 1, 1])
    )
    assert torch.equal(
        apart(None, rows, 2), torch.tensor([0, 1, 0, 1])[:, None] != torch.tensor([0, 1, 0, 1])
    )
    assert torch.equal(apart(None, columns, 2), same)


def test_offsets_reach_the_pairs_they_belong_to():
    size = 3
    table = torch.arange(2 * (2 * size - 1) ** 2).view(2, 2 * size - 1, 2 * size - 1)
    pairs = between_tokens(table, size)
    places = list(itertools.product(range(size), repeat=2))
    for (i, query), (j, key) in itertools.product(enumerate(places), enumerate(places)):
        y, x = (q - k + size - 1 for q, k in zip(query, key, strict=True))
        assert torch.equal(pairs[0, :, i, j], table[:, y, x])


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


KINDS = {
    'windows': lambda: WindowAttention(16, 2, 4, 0, RelativeBias(4, 2)),
    'shifted': lambda: WindowAttention(16, 2, 4, 2, RelativeBias(4, 2)),
    'masked': lambda: MaskedWindowAttention(16, 2, 4, 0, RelativeBias(4, 2)),
    'masked and shifted': lambda: MaskedWindowAttention(16, 2, 4, 2, RelativeBias(4, 2)),
    'shifted by more': lambda: MaskedWindowAttention(16, 2, 4, 3, RelativeBias(4, 2)),
    'grid': lambda: GridAttention(16, 2, 4, 0, RelativeBias(4, 2)),
}
MAPS = [(8, 8), (7, 10), (4, 4), (1, 3), (13, 4), (5, 6)]


@pytest.mark.parametrize('hw', MAPS)
@pytest.mark.parametrize('kind', KINDS)
def test_windowed_attention_equals_attention_of_the_whole_padded_map(kind, hw):
    net = KINDS[kind]().double()
    torch.nn.init.normal_(net.qkv.bias)
    x = torch.randn(2, *hw, 16, dtype=torch.double, requires_grad=True)
    fast, slow = net(x), whole_map(net, x)
    assert torch.allclose(fast, slow, atol=1e-9)
    leaves = [x, *net.parameters()]
    grads = [torch.autograd.grad(y.pow(3).sum(), leaves) for y in (fast, slow)]
    for got, want in zip(*grads, strict=True):
        assert torch.allclose(got, want, rtol=1e-5, atol=1e-6)


def whole_map(net, x):
    """All tokens of the padded map attend to all; what windows forbid is masked."""
    H, W = x.shape[1:3]
    x = pad_to(x, 4)
    h, w = x.shape[1:3]
    axes = (axis_places(net, h, H), axis_places(net, w, W))
    rows, columns = (torch.stack(axis, -1) for axis in axes)  # (side, 3): window, inside, part
    place = torch.stack(torch.broadcast_tensors(rows[:, None], columns), -1).flatten(0, 1)
    window, inside, part = place.unbind(1)  # (tokens, 2)
    y, x_ = (inside[:, None] - inside + 3).unbind(-1)
    table = net.bias.relative_position_bias_table.T.view(2, 7, 7)
    near = (window[:, None] == window).all(-1)
    logits = table[:, y.clamp(0, 6), x_.clamp(0, 6)].masked_fill(~near, -torch.inf)
    logits = logits.masked_fill(near & (part[:, None] != part).any(-1), net.hidden)
    q, k, v = net.qkv(x.flatten(1, 2)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    out = plain_attention(q, k, v, logits).transpose(1, 2).reshape(x.shape)
    return net.proj(out[:, :H, :W])


def axis_places(net, padded, length):
    """Of each token along an axis: its window, its place inside, and the part it belongs to."""
    token = torch.arange(padded)
    part = (token < net.shift).int()
    if isinstance(net, MaskedWindowAttention):
        part = torch.where(token >= length, 2, part)
    if isinstance(net, GridAttention):
        return token % (padded // 4), token // (padded // 4), part
    token = (token - net.shift) % padded
    return token // 4, token % 4, part


@pytest.mark.parametrize('hw', MAPS)
@pytest.mark.parametrize('kind', ['masked', 'masked and shifted', 'shifted by more', 'grid'])
def test_masked_padding_is_seen_by_nobody(kind, hw, monkeypatch):
    net, x = KINDS[kind](), torch.randn(2, *hw, 16)
    out, pad = net(x), net.pad
    noise = 100 * torch.randn(48)
    monkeypatch.setattr(net, 'pad', lambda qkv: pad_to(qkv, net.size, noise))
    assert torch.equal(net(x), out)
    assert out.isfinite().all()
    assert torch.equal(pad(x)[:, : hw[0], : hw[1]], x)


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
