"""Invariants of the layers, against brute force where there is one."""

import pytest
import torch
import torch.nn.functional as F
from lib.memory import kept
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from versions import needs_recomputation

import mmbackbones
from mmbackbones import layers
from mmbackbones.layers import (
    Block,
    GridAttention,
    LayerNorm,
    MaskedWindowAttention,
    Mlp,
    PatchMerging,
    RelativeBias,
    WindowAttention,
    attention,
    between_tokens,
    cached_window_order,
    fuse_conv_bn,
    no_recomputation,
    pad_to,
    recomputation,
    recompute,
    rows,
    window,
    window_order,
    window_partition,
    window_reverse,
)
from mmbackbones.layers.attention import probabilities
from mmbackbones.layers.recomputation import computation_of

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
every_map = pytest.mark.parametrize('hw', MAPS)


def gradients(out, *tensors):
    """Of a sum that each number of `out` has another share in."""
    return torch.autograd.grad(out.pow(3).sum(), tensors, retain_graph=True)


def near(got, want, precision=1e-12):
    """Whether two lists of tensors are equal, as parts of the largest number in each of them."""
    pairs = zip(got, want, strict=True)
    return all((a - b).abs().max() <= precision * (1 + b.abs().max()) for a, b in pairs)


def order_of(hw, size=4, shift=0, grid=False, mask_padding=False):
    return window_order(*hw, size, shift, grid, mask_padding, torch.device('cpu'))


# Windows


@every_map
@pytest.mark.parametrize('shift', [0, 1, 2, 3])
def test_windows_are_neighbours_laid_further(shift, hw):
    x = torch.randn(2, *hw, 3)
    padded = pad_to(x, 4).roll((-shift, -shift), (1, 2))
    want = padded.unflatten(1, (-1, 4)).unflatten(3, (-1, 4)).transpose(2, 3)
    assert torch.equal(window_partition(x, order_of(hw, shift=shift)), want.reshape(-1, 16, 3))


@every_map
def test_windows_of_a_grid_are_strided(hw):
    x = torch.randn(2, *hw, 3)
    windows = window_partition(x, order_of(hw, grid=True))
    padded = pad_to(x, 4)
    down, right = (side // 4 for side in padded.shape[1:3])
    want = [padded[:, i::down, j::right] for i in range(down) for j in range(right)]
    assert torch.equal(windows, torch.stack(want, 1).reshape(-1, 16, 3))


@every_map
@pytest.mark.parametrize('kind', [dict(), dict(shift=2), dict(grid=True), dict(size=7, shift=3)])
def test_a_map_comes_back_from_its_windows_and_so_do_gradients(kind, hw):
    order = order_of(hw, **kind)
    x = torch.randn(2, *hw, 3, dtype=torch.double, requires_grad=True)
    windows = window_partition(x, order)
    assert torch.equal(window_reverse(windows, order, x.shape), x)
    weights = torch.randn_like(windows)
    (grad,) = torch.autograd.grad((windows * weights).sum(), x)
    assert torch.equal(grad, window_reverse(weights, order, x.shape))
    assert torch.autograd.gradcheck(lambda x: window_partition(x, order), x)
    assert torch.autograd.gradgradcheck(lambda x: window_partition(x, order).sin(), x)


def test_an_order_without_padding_or_shift_needs_neither_fill_nor_mask():
    order = order_of((8, 12), mask_padding=True)
    assert order.padding is None
    assert order.mask_ids is None
    assert order_of((8, 11)).mask_ids is None  # padding that is attended
    assert order_of((8, 11), mask_padding=True).mask_ids is not None
    assert order_of((8, 12), shift=1).mask_ids is not None


@pytest.fixture
def orders(monkeypatch):
    """An empty cache of orders."""
    monkeypatch.setattr(window, 'ORDERS', type(window.ORDERS)())
    return window.ORDERS


def test_orders_are_kept_within_a_number_of_bytes(orders, monkeypatch):
    first = cached_window_order(torch.empty(1, 20, 20, 1), 4, 0, False, False)
    assert cached_window_order(torch.empty(3, 20, 20, 2), 4, 0, False, False) is first
    monkeypatch.setattr(window, 'LIMIT', 8 * window.order_bytes(first))
    for width in range(1, 30):
        cached_window_order(torch.empty(1, 20, width, 1), 4, 2, False, True)
        cached_window_order(torch.empty(1, 20, 20, 1), 4, 0, False, False)
        assert sum(map(window.order_bytes, orders.values())) <= window.LIMIT or len(orders) == 1
    again = cached_window_order(torch.empty(1, 20, 20, 1), 4, 0, False, False)
    assert again is first  # it was used all along


def test_an_order_made_in_inference_mode_serves_training(orders):
    net, x = KINDS['shifted'](), torch.randn(1, 7, 10, 16)
    with torch.inference_mode():
        want = net(x)
    out = net(x)
    out.sum().backward()
    assert torch.allclose(out, want, atol=1e-6)


@every_kind
@every_map
def test_attention_in_windows_is_that_of_a_whole_map_with_a_mask(kind, hw):
    net = KINDS[kind]().double()
    nn.init.normal_(net.qkv.bias)
    x = torch.randn(2, *hw, 16, dtype=torch.double, requires_grad=True)
    fast, slow = net(x), whole_map(net, x)
    assert near([fast], [slow])
    leaves = [x, *net.parameters()]
    assert near(gradients(fast, *leaves), gradients(slow, *leaves))
    with torch.no_grad():
        assert near([net(x)], [slow])


def whole_map(net, x):
    """All tokens of the padded map attend to all; what windows forbid is masked."""
    H, W = x.shape[1:3]
    x = pad_to(x, 4)
    h, w = x.shape[1:3]
    axes = (axis_places(net, h, H), axis_places(net, w, W))
    down, right = (torch.stack(axis, -1) for axis in axes)  # (side, 3): window, inside, part
    place = torch.stack(torch.broadcast_tensors(down[:, None], right), -1).flatten(0, 1)
    window, inside, part = place.unbind(1)  # (tokens, 2)
    y, x_ = (inside[:, None] - inside + 3).unbind(-1)
    table = torch.zeros(49, 2) if net.bias is None else net.bias.relative_position_bias_table
    together = (window[:, None] == window).all(-1)
    logits = table.T.view(2, 7, 7)[:, y.clamp(0, 6), x_.clamp(0, 6)]
    logits = logits.masked_fill(~together, -torch.inf)
    logits = logits + torch.where(together & (part[:, None] != part).any(-1), net.masked, 0.0)
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


def plain_attention(q, k, v, bias, scale=None):
    logits = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    return (logits + bias).softmax(-1) @ v


@every_map
@pytest.mark.parametrize('kind', ['masked', 'masked and shifted', 'shifted by more', 'grid'])
def test_no_token_attends_to_masked_padding(kind, hw):
    net, x = KINDS[kind](), torch.randn(2, *hw, 16, requires_grad=True)
    out, order = net(x), net.order(x)

    def disturb(module, inputs, qkv):
        if order.padding is None:
            return qkv
        noise = 10 * torch.randn(48)
        return torch.where(
            order.padding.view(1, -1, 16, 1), noise, qkv.view(2, -1, 16, 48)
        ).flatten(0, 1)

    net.qkv.register_forward_hook(disturb)
    noisy = net(x)
    assert torch.equal(noisy, out)
    assert out.isfinite().all()
    assert near(gradients(noisy, x), gradients(out, x), 2e-6)


@every_map
@pytest.mark.parametrize('kind', ['masked', 'masked and shifted', 'shifted by more', 'grid'])
@pytest.mark.parametrize('dtype', [torch.double, torch.float, torch.bfloat16, torch.half])
def test_padding_has_no_share_however_large_logits_are(kind, hw, dtype, monkeypatch):
    """In every precision the same as where padding really has none."""
    net, x = KINDS[kind]().to(dtype), torch.randn(2, *hw, 16).to(dtype)
    net.qkv.weight.data *= 30  # logits of some hundreds
    out, mask = net(x), window.attention_mask

    def without_padding(bias, mask_ids, padding, batch, masked):
        place = torch.zeros_like(mask_ids) if padding is None else padding.view(mask_ids.shape)
        alone = place[:, None, None, :] > place[:, None, :, None]
        shown = mask(bias, mask_ids, padding, batch, masked)
        return shown.masked_fill(alone.repeat(batch, 1, 1, 1), -torch.inf)

    monkeypatch.setattr(window, 'attention_mask', without_padding)
    assert out.isfinite().all()
    assert (out - net(x)).abs().max() <= 1e-5


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


@pytest.mark.parametrize('size', [2, 3, 7])
def test_a_bias_belongs_to_the_offset_between_two_tokens(size):
    table = torch.arange((2 * size - 1) ** 2).view(1, 2 * size - 1, 2 * size - 1)
    bias = between_tokens(table, size)[0, 0]
    for query in range(size**2):
        for key in range(size**2):
            down, right = query // size - key // size, query % size - key % size
            assert bias[query, key] == table[0, size - 1 + down, size - 1 + right]


# Attention


@pytest.mark.parametrize('learning', [False, True])
@pytest.mark.parametrize('mask', [None, (1, 2, 5, 5), (3, 2, 5, 5)])
@pytest.mark.parametrize('scale', [None, 0.3])
def test_attention_is_what_it_says(scale, mask, learning):
    tensors = [torch.randn(3, 2, 5, 8, dtype=torch.double, requires_grad=True) for _ in range(3)]
    mask = None if mask is None else torch.randn(mask, dtype=torch.double, requires_grad=learning)
    want = plain_attention(*tensors, 0 if mask is None else mask, scale)
    leaves = [*tensors, mask] if learning and mask is not None else tensors
    with recomputation():
        out = attention(*tensors, mask, scale)
    assert near([out], [want])
    assert near(gradients(out, *leaves), gradients(want, *leaves))
    assert near([probabilities(*tensors[:2], mask, scale) @ tensors[2]], [want])


# Norms


@pytest.mark.parametrize('dtype', [torch.float, torch.bfloat16])
def test_a_layer_norm_returns_what_autocast_gives_the_next_layer(dtype):
    norm, x = LayerNorm(8), torch.randn(5, 8, requires_grad=True)
    nn.init.normal_(norm.weight)
    assert torch.equal(norm(x), nn.LayerNorm.forward(norm, x))
    with torch.autocast('cpu', torch.bfloat16):
        out = norm(x.to(dtype))
    assert out.dtype == torch.bfloat16
    assert (out - norm(x)).abs().max() < 0.05
    got, want = gradients(out.float(), x, norm.weight), gradients(norm(x), x, norm.weight)
    assert [grad.dtype for grad in got] == [torch.float] * 2
    assert all((a - b).norm() < 0.03 * b.norm() for a, b in zip(got, want, strict=True))


def test_fused_batch_norms_change_no_output():
    norms = [nn.BatchNorm2d(4) for _ in range(2)]
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), norms[0], nn.ReLU(), norms[1])
    for norm in norms:
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(tensor, 0.5, 2)
    x = torch.randn(2, 3, 8, 8)
    with pytest.raises(ValueError, match=r'training mode; call net\.eval\(\) first'):
        fuse_conv_bn(net)
    want = net.eval()(x)
    assert fuse_conv_bn(net) is net
    assert [type(m) for m in net] == [nn.Conv2d, nn.Identity, nn.ReLU, nn.BatchNorm2d]
    assert torch.allclose(net(x), want, atol=1e-5)


# Memory


@needs_recomputation
def test_recompute_computes_again_inside_recomputation_alone():
    calls, x = [], torch.randn(5, 5, requires_grad=True)

    def double(x):
        calls.append(torch.is_grad_enabled())
        return x * 2

    want = gradients((x * 2).sin().cos(), x)
    for context, times in ((recomputation, [True, False]), (no_recomputation, [True])):
        calls.clear()
        with context():
            out = recompute(double, x).sin().cos()
        assert near(gradients(out, x), want)
        assert calls == times


@needs_recomputation
def test_recomputed_inputs_are_computed_again_as_well():
    x = torch.randn(4, 4, dtype=torch.double, requires_grad=True)
    with recomputation():
        y = recompute(torch.exp, recompute(torch.sin, x).mT)[1:]
        assert computation_of(y) is not None
        out = y * y
    assert near(gradients(out, x), gradients(x.sin().mT.exp()[1:] ** 2, x))


def test_a_result_that_was_changed_is_saved():
    x = torch.randn(4, 4, dtype=torch.double, requires_grad=True)
    with recomputation():
        y = recompute(torch.sin, x)
        y += 1
        out = y.exp()
    assert near(gradients(out, x), gradients((x.sin() + 1).exp(), x))


class WideEps(LayerNorm):
    """A norm with another default alone."""

    def __init__(self, dim):
        super().__init__(dim, eps=1e-3)


class Counting(nn.GELU):
    """An activation with a forward of its own, which changes with each call."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class Doubled(nn.Module):
    """Computes a weight in each call."""

    def forward(self, weight):
        return 2 * weight


def patched(module):
    """A module with another function in the place of its `forward`, as some libraries do it."""
    forward = module.forward
    module.forward = lambda x: forward(x) + torch.rand(())
    return module


def parametrised(module):
    nn.utils.parametrize.register_parametrization(module, 'weight', Doubled())
    return module


def hooked(module):
    module.register_forward_hook(lambda *_: None)
    return module


CALLED_AGAIN = {
    'ours': (lambda: LayerNorm(8), True),
    'a subclass': (lambda: WideEps(8), True),
    'a subclass of an activation': (lambda: type('Named', (nn.GELU,), {})('tanh'), True),
    'a forward of its own': (Counting, False),
    'a patched forward': (lambda: patched(LayerNorm(8)), False),
    'a parametrised weight': (lambda: parametrised(LayerNorm(8)), False),
    'a hook': (lambda: hooked(LayerNorm(8)), False),
    'in place': (lambda: nn.SiLU(inplace=True), False),
    'another module': (lambda: nn.RReLU(), False),
}


@needs_recomputation
@pytest.mark.parametrize('kind', CALLED_AGAIN)
def test_modules_are_recomputed_whose_forward_is_known(kind):
    make, known = CALLED_AGAIN[kind]
    module, x = make().double().train(), torch.randn(3, 8, dtype=torch.double, requires_grad=True)
    found = []
    for context in (recomputation, no_recomputation):
        torch.manual_seed(1)
        module.calls = 0
        with context():
            y = recompute(module, x + 1)
            assert (computation_of(y) is not None) == (known and context is recomputation)
            out = y.sin().cos()
        found.append(gradients(out, x, *module.parameters()))
    assert near(*found)


@needs_recomputation
def test_a_subclass_saves_as_little_as_its_base():
    """A net's memory does not depend on who defined its norm and its activation."""
    sizes, x = [], torch.randn(1, 9, 9, 8, requires_grad=True)
    for norm, act in ((LayerNorm, nn.GELU), (WideEps, type('Named', (nn.GELU,), {}))):
        block = type('Own', (Block,), dict(norm=norm))(8, nn.Identity(), mlp=Mlp(8, act=act))
        with recomputation():
            sizes.append(kept(lambda: block(x)))  # noqa: B023
    with no_recomputation():
        assert sizes[0] == sizes[1] < kept(lambda: block(x))


@pytest.mark.parametrize(
    ('package', 'old', 'new'),
    [
        (mmbackbones, 'plain', 'no_recomputation'),
        (layers, 'plain', 'no_recomputation'),
        (layers, 'lean', 'recomputation'),
        (layers, 'cheap', 'recompute'),
    ],
)
def test_old_names_warn_and_work(package, old, new):
    words = f'{package.__name__}.{old} is now {package.__name__}.{new}; the old name will go with'
    with pytest.warns(DeprecationWarning, match=words):
        assert getattr(package, old) is getattr(package, new)
    assert old not in package.__all__
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'plane'"):
        package.plane


# Rows


@pytest.mark.parametrize('numbers', [1, 200, 700])
def test_an_mlp_in_rows_equals_the_mlp(numbers, monkeypatch):
    net, x = Mlp(8).double(), torch.randn(2, 9, 5, 8, dtype=torch.double)
    calls, tokens = [], net.tokens
    monkeypatch.setattr(net, 'tokens', lambda x: calls.append(x.shape[1]) or tokens(x))
    want = tokens(x)
    monkeypatch.setattr(rows, 'NUMBERS', numbers)
    with torch.no_grad():
        assert near([net(x)], [want])
    assert len(calls) > 1
    assert sum(calls) == 9
    calls.clear()
    assert torch.equal(net(x), want)  # with gradients, at once
    assert calls == [9]


@pytest.mark.parametrize('own', [False, True])
def test_rows_are_split_for_a_subclass_without_a_forward_of_its_own(own, monkeypatch):
    monkeypatch.setattr(rows, 'NUMBERS', 1)
    net, calls = Mlp(8), []
    forward = dict(forward=lambda self, x: nn.GELU.forward(self, x)) if own else {}
    net.act = type('Named', (nn.GELU,), forward)()
    monkeypatch.setattr(net, 'tokens', lambda x: calls.append(x) or x)
    with torch.no_grad():
        net(torch.randn(1, 9, 5, 8))
    assert len(calls) == (1 if own else 9)


class Mixes(nn.Module):
    """Each token hears of those above it."""

    def forward(self, x):
        return x.cumsum(1)


@pytest.mark.parametrize('why', ['hook', 'global hook', 'another module', 'statistics', 'vmap'])
def test_a_map_stays_whole_where_rows_could_be_noticed(why, monkeypatch):
    monkeypatch.setattr(rows, 'NUMBERS', 1)
    net, x, seen = Mlp(8).double(), torch.randn(2, 9, 5, 8, dtype=torch.double), []
    look = lambda module, inputs, output: seen.append(output)  # noqa: E731
    handle = None
    if why == 'hook':
        net.fc1.register_forward_hook(look)
    elif why == 'global hook':
        handle = nn.modules.module.register_module_forward_hook(look)
    elif why == 'another module':
        net.act = Mixes()
    elif why == 'statistics':
        net.act = nn.BatchNorm2d(9).double()
    try:
        with torch.no_grad():
            out = torch.vmap(net)(x[:, None])[:, 0] if why == 'vmap' else net(x)
    finally:
        if handle:
            handle.remove()
    if why == 'statistics':
        net.act.reset_running_stats()
    assert torch.allclose(out, net.tokens(x))
    assert all(output.shape[1] == 9 for output in seen)
    assert bool(seen) == ('hook' in why)


# Blocks


def test_a_block_takes_any_mixer_and_any_mlp():
    block = Block(8, Mixes(), mlp=Mixes())
    x = torch.randn(2, 3, 4, 8)
    want = x + block.norm1(x).cumsum(1)
    assert torch.equal(block(x), want + block.norm2(want).cumsum(1))


def test_merging_takes_two_by_two_tokens_down_before_right():
    x = torch.arange(2 * 4.0).view(1, 2, 4, 1)
    assert PatchMerging(1, 1).gather(x)[0, 0].tolist() == [[0, 4, 1, 5], [2, 6, 3, 7]]


def test_padding_is_at_the_end_and_absent_where_not_needed():
    x = torch.randn(2, 5, 8, 3)
    assert pad_to(x[:, :4], 4).data_ptr() == x.data_ptr()
    assert torch.equal(pad_to(x, 4), F.pad(x, (0, 0, 0, 0, 0, 3)))


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
