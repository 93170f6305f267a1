"""Invariants of the layers, against brute force where there is one."""

import itertools
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

from mmbackbones import layers
from mmbackbones.layers import (
    Block,
    GridAttention,
    Grids,
    Linear,
    MaskedWindowAttention,
    Mlp,
    RelativeBias,
    WindowAttention,
    Windows,
    add_branch,
    apart,
    between_tokens,
    fused_attention,
    pad_to,
    recomputed,
    row_bands,
)
from mmbackbones.layers.attention import attention_gradient
from mmbackbones.layers.recompute import Prelude

LENGTHS = [(12, 12), (12, 9), (12, 11), (8, 5), (4, 4), (4, 1)]  # padded, of the map
KINDS = {
    'windows': lambda: WindowAttention(16, 2, 4, 0, RelativeBias(4, 2)),
    'shifted': lambda: WindowAttention(16, 2, 4, 2, RelativeBias(4, 2)),
    'shifted, no bias': lambda: WindowAttention(16, 2, 4, 2),
    'masked': lambda: MaskedWindowAttention(16, 2, 4, 0, RelativeBias(4, 2)),
    'masked and shifted': lambda: MaskedWindowAttention(16, 2, 4, 2, RelativeBias(4, 2)),
    'shifted by more': lambda: MaskedWindowAttention(16, 2, 4, 3, RelativeBias(4, 2)),
    'grid': lambda: GridAttention(16, 2, 4, 0, RelativeBias(4, 2)),
}
MAPS = [(8, 8), (7, 10), (4, 4), (1, 3), (13, 4), (5, 6)]

every_kind = pytest.mark.parametrize('kind', KINDS)


def gradients(out, *tensors):
    """Of a sum that each number of `out` has another share in."""
    return torch.autograd.grad(out.pow(3).sum(), tensors, retain_graph=True)


def near(got, want, precision=1e-12):
    """Whether two lists of tensors are equal, as parts of the largest number in each of them."""
    pairs = zip(got, want, strict=True)
    return all((a - b).abs().max() <= precision * (1 + b.abs().max()) for a, b in pairs)


SINGLE = 2e-6  # backward through windows is in float32


WINDOWS, GRIDS = Windows(4, 1, 3), Grids(4, 1, 3)


def cut(x, tiles, shift, lengths):
    """Cut (B, H, W, C) into windows along both axes, and lay the windows side by side."""
    for axis, length in zip((1, 3), lengths, strict=True):
        windows = [
            torch.cat([tiles.piece(x, axis, each) for each in pieces], axis + 1)
            for pieces, _ in tiles.runs(x.shape[axis], shift, length)
        ]
        x = torch.cat(windows, axis)
    return x


@pytest.mark.parametrize(('padded', 'length'), LENGTHS)
@pytest.mark.parametrize('shift', [0, 1, 2])
def test_windows_are_neighbours_laid_further(padded, length, shift):
    x = torch.randn(2, padded, 8, 3)
    windows = cut(x, WINDOWS, shift, (length, 8))
    assert windows.shape == (2, padded // 4, 4, 2, 4, 3)
    laid = x.roll((-shift, -shift), (1, 2))
    assert torch.equal(windows, laid.unflatten(1, (-1, 4)).unflatten(3, (-1, 4)))


@pytest.mark.parametrize(('padded', 'length'), LENGTHS)
def test_grids_are_strided_windows(padded, length):
    x = torch.randn(2, padded, 8, 3)
    grids = cut(x, GRIDS, 0, (length, 8))
    assert grids.shape == (2, padded // 4, 4, 2, 4, 3)
    for row, column in itertools.product(range(padded // 4), range(2)):
        assert torch.equal(grids[:, row, :, column], x[:, row :: padded // 4, column::2])


@every_kind
@pytest.mark.parametrize(('padded', 'length'), LENGTHS)
def test_what_is_cut_and_put_is_the_map(kind, padded, length):
    net, x = KINDS[kind](), torch.randn(2, padded, 8, 3 * 16)
    canvas = torch.full((2, padded, 8, 3, 2, 8), torch.nan)
    rows, columns = net.runs(padded, net.shift, length), net.runs(8, net.shift, 8)
    for (row, _), (column, _) in itertools.product(rows, columns):
        for i, tensor in enumerate(net.tiles.cut(x, row, column)):
            assert tensor.shape[1:] == (2, 16, 8)
            net.tiles.put(canvas[:, :, :, i], tensor, row, column)
    assert torch.equal(canvas.flatten(3), x)


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
    def windows(tiles, pieces):
        tokens = torch.arange(12).view(1, 12)
        return torch.cat([tiles.piece(tokens, 1, each) for each in pieces], 2)[0].tolist()

    for shift in (0, 1, 3):
        for pieces, places in WINDOWS.runs(12, shift, length):
            for window in windows(WINDOWS, pieces):
                plain = window == list(range(window[0], window[0] + 4)) and window[-1] < length
                assert plain == (places is None)
    for pieces, places in GRIDS.runs(12, 0, length):
        assert all((max(w) < length) == (places is None) for w in windows(GRIDS, pieces))


def test_apart_compares_rows_and_columns():
    for rows, columns, tokens in (
        ((0, 1), (5, 5), [0, 0, 1, 1]),
        (None, (0, 1), [0, 1, 0, 1]),
        ((0, 1), (3, 4), [0, 1, 2, 3]),
        (None, (5, 5), [0, 0, 0, 0]),
    ):
        tokens = torch.tensor(tokens)
        assert torch.equal(apart(rows, columns, 2, 'cpu'), tokens[:, None] != tokens)


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


class OnCuda(torch.Tensor):
    """Says that it is, so that a CPU takes the same path."""

    is_cuda = True


@pytest.mark.parametrize('scale', [None, 0.7])
@pytest.mark.parametrize('with_bias', [True, False])
def test_attention_equals_plain_in_forward_and_all_gradients(with_bias, scale, monkeypatch):
    monkeypatch.setattr(layers.attention, 'CUDA_BATCH', 3)
    tensors = [torch.randn(8, 2, 49, 16, dtype=torch.double) for _ in range(3)]
    tensors += [torch.randn(1, 2, 49, 49, dtype=torch.double)] * with_bias
    tensors = [t.requires_grad_() for t in tensors]
    out = plain_attention(*tensors, scale=scale)
    grads = gradients(out, *tensors)
    for kind in (torch.Tensor, OnCuda):
        other = fused_attention(*(t.as_subclass(kind) for t in tensors), scale=scale)
        other = other.as_subclass(torch.Tensor)
        assert torch.allclose(out, other)
        assert near(gradients(other, *tensors), grads)
    with torch.no_grad():
        own = attention_gradient(3 * out.square(), *tensors, scale=scale)
    assert near(own[: len(grads)], grads, SINGLE)


@pytest.mark.parametrize('autocast', [False, True])
def test_bias_gradient_of_many_windows_keeps_its_precision_in_bfloat16(autocast, monkeypatch):
    monkeypatch.setattr(WindowAttention, 'chunk', 2 * 16 * 16)  # a window at a time
    qkv, net = torch.randn(2000, 4, 4, 3 * 16).bfloat16(), WindowAttention(16, 2, 4)
    qkv.requires_grad_()
    zeros = torch.zeros(1, 2, 16, 16).bfloat16()
    want, bias = zeros.double().requires_grad_(), zeros.requires_grad_()
    plain_attention(*net.heads(qkv.double().flatten(1, 2)), want).square().sum().backward()
    with torch.autocast('cpu', enabled=autocast):
        out = net.within(qkv, bias, (0, 0))
    out.double().square().sum().backward()
    assert (bias.grad - want.grad).std() < 0.02 * want.grad.std()


@pytest.mark.parametrize('size', [8, 12])  # matrix products, and the fused kernel
def test_attention_in_windows_keeps_no_logits(size):
    net, x = WindowAttention(16, 4, size, 2, RelativeBias(size, 4)), torch.randn(1, 24, 24, 16)
    assert kept(lambda: net(x)) < 24**2 * 4 * size**2 * 4 / 2


def test_large_windows_stay_on_the_fused_kernel():
    net = WindowAttention(32, 2, 12, 2, RelativeBias(12, 2))
    with torch.profiler.profile() as profile:
        net(torch.randn(1, 24, 24, 32)).sum().backward()
    names = {event.key for event in profile.key_averages()}
    assert 'aten::_scaled_dot_product_flash_attention_for_cpu' in names
    assert 'aten::_scaled_dot_product_attention_math' not in names


@pytest.mark.parametrize('hw', MAPS)
@pytest.mark.parametrize('place', ['in cache', 'elsewhere', 'in a graph'])
@every_kind
def test_windowed_attention_equals_attention_of_the_whole_padded_map(kind, place, hw, monkeypatch):
    monkeypatch.setattr(layers.window_attention, 'in_cache', lambda x: place == 'in cache')
    for module in (layers.window_attention, layers.window):
        monkeypatch.setattr(module, 'in_graph', lambda: place == 'in a graph')
    monkeypatch.setattr(WindowAttention, 'chunk', 3 * 2 * 4**4)  # several chunks
    net = KINDS[kind]().double()
    nn.init.normal_(net.qkv.bias)
    x = torch.randn(2, *hw, 16, dtype=torch.double, requires_grad=True)
    fast, slow = net(x), whole_map(net, x)
    with torch.no_grad():
        assert near([fast, net(x)], [slow, slow])
    leaves = [x, *net.parameters()]
    assert near(gradients(fast, *leaves), gradients(slow, *leaves), SINGLE)


@pytest.mark.parametrize('kind', ['shifted', 'masked and shifted', 'grid'])
def test_one_graph_without_breaks_holds_for_every_size(kind):
    net, counter = KINDS[kind]().eval(), CompileCounterWithBackend('eager')
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend=counter)
    with torch.no_grad():
        for hw in ((13, 18), (14, 27), (23, 17), (21, 30)):
            x = torch.randn(1, *hw, 16)
            torch.testing.assert_close(compiled(x), net(x))
    assert counter.frame_count <= 2


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
    table = torch.zeros(49, 2) if net.bias is None else net.bias.relative_position_bias_table
    together = (window[:, None] == window).all(-1)
    logits = table.T.view(2, 7, 7)[:, y.clamp(0, 6), x_.clamp(0, 6)]
    logits = logits.masked_fill(~together, -torch.inf)
    logits = logits + torch.where(together & (part[:, None] != part).any(-1), net.hidden, 0.0)
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
    net, x = KINDS[kind](), torch.randn(2, *hw, 16, requires_grad=True)
    out, prelude = net(x), net.prelude
    noise = 100 * torch.randn(48)
    monkeypatch.setattr(net, 'prelude', lambda qkv, *own: pad_to(qkv, net.size, noise))
    noisy = net(x)
    assert torch.equal(noisy, out)
    assert out.isfinite().all()
    assert near(gradients(noisy, x), gradients(out, x), SINGLE)
    assert torch.equal(prelude(x)[:, : hw[0], : hw[1]], x)


@pytest.mark.parametrize(('start', 'stop'), [(0, None), (0, 12), (3, 31), (2, 3), (3, 3)])
@pytest.mark.parametrize('step', [1, 3, 7])
@pytest.mark.parametrize('numbers', [1, 200, 500, 10**6])
def test_bands_of_rows_tile_the_map_in_steps_and_fit(start, stop, step, numbers, monkeypatch):
    monkeypatch.setattr(layers.bands, 'BAND', numbers)
    ranges = row_bands(torch.empty(2, 32, 5, 4), start, stop, step)
    stop = 32 if stop is None else stop
    rows = [row for each in ranges for row in range(*each)]
    assert rows == list(range(start, stop))
    sizes = [stop - start for start, stop in ranges]
    assert all(size % step == 0 for size in sizes[:-1])
    assert max(sizes, default=0) * 5 * 4 <= max(numbers, step * 5 * 4)
    assert len(set(sizes[:-1])) <= 1
    assert len(ranges) == 1 or numbers < 10**6 or start == stop


@pytest.mark.parametrize('why', ['device', 'graph'])
def test_there_is_one_band_where_there_is_no_cache_to_fit(why, monkeypatch):
    monkeypatch.setattr(layers.bands, 'BAND', 1)
    x = torch.empty(2, 32, 5, 4, device='meta' if why == 'device' else 'cpu')
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: why == 'graph')
    assert row_bands(x) == [(0, 32)]
    assert row_bands(x, 2, 30, 7) == [(2, 30)]
    assert all(len(KINDS[kind]().bands(x.expand(2, 32, 5, 4))) == 1 for kind in KINDS)


BANDS = {
    'one': [([(0, 9)], 2.0)],
    'three': [([(0, 4)], 2.0), ([(4, 8)], 2.0), ([(8, 9)], 2.0)],
    'in any order': [([(5, 9)], 1.0), ([(0, 1)], 3.0), ([(1, 5)], -1.0)],
    'both ends': [([(2, 4)], 2.0), ([(4, 6)], 0.5), ([(0, 2), (6, 9)], 3.0)],
    'in turn': [([(0, 1), (3, 5), (7, 8)], 2.0), ([(1, 3), (5, 7), (8, 9)], 3.0)],
}
LAYOUTS = {  # a convolution hands on (B, H, W, C) as a view
    'channels last': lambda x: x,
    'channels first': lambda x: x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1),
}


def branch(rows, factor):
    """Each row hears of the rows above it in its band."""
    return factor * rows.cumsum(1).sin()


def whole_branch(x, bands):
    """The branches of all bands, each row put where it comes from."""
    total = torch.zeros_like(x)
    for own, factor in bands:
        rows = [row for each in own for row in range(*each)]
        total = total.index_copy(1, torch.tensor(rows), branch(x[:, rows], factor))
    return total


@pytest.mark.parametrize('with_scale', [False, True])
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('bands', BANDS)
def test_a_branch_in_bands_equals_the_branch(bands, layout, with_scale):
    scale = torch.tensor([0.0, 2.0, 0.5]).double().view(3, 1, 1, 1) if with_scale else None
    leaf = LAYOUTS[layout](torch.randn(3, 9, 4, 6, dtype=torch.double)).requires_grad_()
    x = leaf.detach().clone()
    want = leaf + whole_branch(leaf, BANDS[bands]) * (scale if with_scale else 1)
    out = add_branch(leaf, branch, BANDS[bands], scale)
    assert torch.allclose(out, want)
    assert near(gradients(out, leaf), gradients(want, leaf))
    assert torch.equal(leaf, x)
    with torch.no_grad():
        assert torch.allclose(add_branch(x, branch, BANDS[bands], scale), want)
        assert torch.equal(leaf, x)
        spare = LAYOUTS[layout](torch.zeros_like(x))
        assert torch.allclose(add_branch(x, branch, BANDS[bands], scale, spare=spare), want)
        assert torch.equal(leaf, x)
        assert torch.allclose(add_branch(x, branch, BANDS[bands], scale, spare=x), want)


def test_a_branch_of_another_precision_is_not_rounded_into_the_spare():
    x, bands = torch.randn(2, 9, 4, 6).bfloat16(), BANDS['three']
    with torch.no_grad():
        out = add_branch(x, lambda rows, _: rows.float() * 1.1, bands, spare=x)
    assert out.dtype == torch.float
    assert torch.equal(out, x.float() + x.float() * 1.1)


def test_a_spare_is_written_to_without_gradients_only():
    leaf, bands = torch.randn(2, 9, 4, 6, requires_grad=True), BANDS['three']
    x = leaf.detach().clone()
    out = add_branch(leaf, branch, bands, spare=leaf)
    assert torch.equal(leaf, x)
    with torch.no_grad():
        again = add_branch(x, branch, bands, spare=x)
    assert again.data_ptr() == x.data_ptr()
    assert torch.equal(again, out)


def in_bands(monkeypatch, rows, x, run):
    """What `run` gives with all of x in one band, and with so many rows in each."""
    results = []
    for numbers in (x.numel(), rows * x[0, 0].numel()):
        monkeypatch.setattr(layers.bands, 'BAND', numbers)
        results.append(run())
    return results


@pytest.mark.parametrize('hw', [*MAPS, (22, 5), (31, 6)])
@pytest.mark.parametrize('rows', [1, 8, 12])
@every_kind
def test_windows_in_bands_equal_those_of_the_map(kind, rows, hw, monkeypatch):
    net = KINDS[kind]().double()
    nn.init.normal_(net.qkv.bias)
    x = torch.randn(2, *hw, 16, dtype=torch.double, requires_grad=True)

    def run():
        out = add_branch(x, lambda rows, *where: net(rows, None, *where), net.bands(x))
        return out, *gradients(out, x, *net.parameters())

    whole, banded = in_bands(monkeypatch, rows, x, run)
    assert len(net.bands(x)) > 1 or rows > 1 or hw[0] < 13
    assert near([whole[0], banded[0]], [x + net(x)] * 2)
    assert near(banded, whole, SINGLE)


def test_grids_too_uneven_for_bands_are_one():
    """Where a band would be padded to a grid of other rows than the map's."""
    net = GridAttention(16, 2, 4)
    for height, bands in ((16, 4), (13, 4), (12, 3), (10, 3), (9, 1), (5, 1), (4, 1)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layers.bands, 'BAND', 1)
            assert len(net.bands(torch.empty(1, height, 4, 16))) == bands, height


@pytest.mark.parametrize('hw', [(8, 8), (13, 10), (22, 5)])
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('drop_path', [0.0, 0.5])
@every_kind
def test_a_block_in_bands_equals_the_block(kind, drop_path, layout, hw, monkeypatch):
    net = Block(16, KINDS[kind](), drop_path).double()
    x = LAYOUTS[layout](torch.randn(2, *hw, 16, dtype=torch.double)).requires_grad_()
    before = x.detach().clone()

    def run():
        torch.manual_seed(1)
        out = net(x)
        grads = gradients(out, x, *net.parameters())
        torch.manual_seed(1)
        with torch.no_grad():
            return out, net(x), *grads

    whole, banded = in_bands(monkeypatch, 4, x, run)
    assert near(banded[:2], [whole[0]] * 2)
    assert near(whole[:1], whole[1:2])
    assert near(banded[2:], whole[2:], SINGLE)
    assert torch.equal(x, before)


def kept(run):
    """Bytes that are kept for the backward pass; what shares memory counts once."""
    tensors = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: tensors.append(t) or t, lambda t: t):
        out = run()  # noqa: F841  (so that no memory is used twice)
    return sum(
        {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values()
    )


PRELUDES = {
    'norm': lambda: nn.LayerNorm(8),
    'activation': nn.GELU,
    'both': lambda: nn.Sequential(nn.LayerNorm(8), nn.GELU('tanh')),
}


def behind(prelude, bias=True):
    """A linear layer and what goes before it, none of them at its trivial start."""
    net, prelude = Linear(8, 6, bias=bias), PRELUDES[prelude]()
    for parameter in prelude.parameters():
        nn.init.normal_(parameter)
    return net, prelude, [*net.parameters(), *prelude.parameters()]


def plain_linear(net, x, prelude):
    """What `Linear` with a prelude means."""
    return F.linear(prelude(x), net.weight, net.bias)


@pytest.mark.parametrize('shape', [(5, 8), (2, 3, 4, 8)])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('prelude', PRELUDES)
def test_linear_behind_a_prelude_equals_both_in_forward_and_all_gradients(prelude, bias, shape):
    net, prelude, parameters = behind(prelude, bias)
    net, prelude = net.double(), prelude.double()
    leaves = [torch.randn(*shape, dtype=torch.double, requires_grad=True), *parameters]
    want = plain_linear(net, leaves[0], prelude)
    ways = [net, partial(checkpoint, net, use_reentrant=False)]
    for way in ways:
        out = way(leaves[0], prelude)
        assert torch.equal(out, want)
        assert near(gradients(out, *leaves), gradients(want, *leaves))
    with torch.no_grad():
        assert torch.equal(net(leaves[0], prelude), want)
    assert torch.equal(net(leaves[0]), F.linear(leaves[0], net.weight, net.bias))


@pytest.mark.parametrize('prelude', PRELUDES)
def test_linear_behind_a_prelude_is_as_exact_as_both_in_autocast(prelude):
    net, prelude, parameters = behind(prelude)
    leaves = [torch.randn(64, 8, requires_grad=True), *parameters]
    exact = plain_linear(net, leaves[0], prelude)
    with torch.autocast('cpu', torch.bfloat16):
        rough, plain = net(leaves[0], prelude), plain_linear(net, leaves[0], prelude)
    assert rough.dtype == plain.dtype == torch.bfloat16
    assert torch.equal(rough, plain)
    want = gradients(exact, *leaves)
    for got, other, grad in zip(gradients(rough.float(), *leaves), want, leaves, strict=True):
        assert got.dtype == grad.dtype
        assert (got - other).norm() < 0.03 * other.norm()


@pytest.mark.parametrize('prelude', PRELUDES)
def test_what_comes_out_of_a_prelude_is_not_kept(prelude):
    net, prelude, parameters = behind(prelude)
    x = torch.randn(1000, 8, requires_grad=True)
    assert kept(lambda: net(x, prelude)) <= x.nbytes + sum(p.nbytes for p in parameters)
    assert kept(lambda: plain_linear(net, x, prelude)) >= 2 * x.nbytes


def test_an_mlp_keeps_what_is_between_its_layers_once():
    net, norm, x = Mlp(8), nn.LayerNorm(8), torch.randn(2, 30, 40, 8, requires_grad=True)
    parameters = sum(p.nbytes for p in (*net.parameters(), *norm.parameters()))
    assert kept(lambda: net(x, norm)) <= x.nbytes * (1 + 4) + parameters
    assert kept(lambda: net.fc2(net.act(net.fc1(norm(x))))) >= x.nbytes * (2 + 2 * 4)


@pytest.mark.parametrize('learning', [(0, 1, 2, 3), (0,), (1,), (2,), (1, 3)])
def test_recomputed_equals_what_it_recomputes(learning):
    leaves = [torch.randn(*size, 4, dtype=torch.double) for size in ((3,), (), (), ())]
    x, own, a, b = (leaf.requires_grad_(i in learning) for i, leaf in enumerate(leaves))
    learners = [leaves[i] for i in learning]

    def prelude(x, own, result, unused):
        return x.sin() + own * result

    def gradient(grad, y, a, b):
        return grad * a, (grad * y).sum(0), grad.sum(0)

    def run(x, a, b):
        its = Prelude(prelude, [own, own.exp(), b])  # a leaf, not a leaf, and one for nothing
        return recomputed(its, lambda y, a, b: y * a + b, gradient, x, a, b)

    want = prelude(x, own, own.exp(), b) * a + b
    for out in (run(x, a, b), checkpoint(run, x, a, b, use_reentrant=False)):
        assert torch.equal(out, want)
        assert near(gradients(out, *learners), gradients(want, *learners))


@pytest.mark.parametrize('autocast', [False, True])
def test_recomputed_sees_the_autocast_of_its_forward(autocast):
    seen = []

    def prelude(x):
        seen.append((torch.is_autocast_enabled('cpu'), torch.get_autocast_dtype('cpu')))
        return 2 * x

    x = torch.randn(3, requires_grad=True)
    with torch.autocast('cpu', torch.float16, enabled=autocast):
        out = recomputed(Prelude(prelude), lambda y: y + 1, lambda grad, y: (grad,), x)
    out.sum().backward()
    assert len(set(seen)) == 1
    assert seen[0][0] == autocast
    assert torch.equal(x.grad, torch.full((3,), 2.0))


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
