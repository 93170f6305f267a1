"""mmcv's operators in plain PyTorch give what the compiled ones give, and stand where none are."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, PathFinder
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from versions import needs_tracer

from mmbackbones import doctor, operators
from mmbackbones.__main__ import main

ops = pytest.importorskip('mmcv.ops')

from operator_cases import CASES, UNSTABLE, Draw, results, with_gradients  # noqa: E402

from mmbackbones.operators import boxes, deformable, extension, regions, roi  # noqa: E402

ROOT = Path(__file__).parent.parent
RECORDED = np.load(ROOT / 'tests/data/operators/mmcv.npz')
MODULES = [
    module
    for name, module in list(sys.modules.items())
    if name.startswith('mmcv.ops.') and hasattr(module, 'ext_module')
]
COMPILED = sys.modules['mmcv._ext'] if operators.compiled() else None


def use(monkeypatch, source):
    """Let mmcv's functions call another extension."""
    for module in MODULES:
        monkeypatch.setattr(module, 'ext_module', source)


@pytest.fixture
def plain(monkeypatch):
    """mmcv's functions call the operators in plain PyTorch."""
    use(monkeypatch, extension)


def assert_equal(found, wanted, name=''):
    """Equal numbers, but for what is lost when sums are formed in another order."""
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype
        scale = max(1, np.abs(b[np.isfinite(b)]).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=4e-6 * scale, err_msg=name)


@pytest.mark.parametrize('name', CASES)
def test_results_and_gradients_are_those_of_compiled_operators(name, monkeypatch):
    use(monkeypatch, extension)
    found = results(name)
    if name not in UNSTABLE:
        assert_equal(found, [RECORDED[f'{name}/{i}'] for i in range(len(found))], name)
    if COMPILED:
        use(monkeypatch, COMPILED)
        assert_equal(found, results(name), name)


@pytest.mark.parametrize('name', [n for n in CASES if n.startswith(('nms', 'roi_align_'))])
def test_elsewhere_than_on_a_cpu_many_are_taken_at_a_time(name, monkeypatch):
    use(monkeypatch, extension)
    wanted = results(name)
    for module in (boxes, roi, regions):
        monkeypatch.setattr(module, 'on_cpu', lambda tensor: False)
    assert_equal(results(name), wanted, name)
    monkeypatch.setattr(roi, 'BUDGET', 3000)
    assert_equal(results(name), wanted, name)


def test_what_is_huge_or_not_a_number_gives_zeros_or_an_error(plain):
    maps = torch.randn(1, 2, 9, 9)
    rois = torch.tensor([[0, 0, 0, torch.inf, 9], [0, torch.nan, 0, 5, 5], [0, 0, 0, 1e5, 1e5]])
    found = ops.roi_align(maps, rois, 3, 1.0, 0, 'avg', False)
    assert not found[:2].any()
    assert found.isfinite().all()
    for bad in (rois[1:2], torch.tensor([[0.0, 5, 5, 4, 6]])):
        with pytest.raises(RuntimeError, match='negative or not a number'):
            ops.roi_align(maps, bad, 3, 1.0, 0, 'avg', True)
        turned = torch.tensor([[0.0, 5, 5, -1, 3, 0]])
        with pytest.raises(RuntimeError, match='negative or not a number'):
            ops.roi_align_rotated(maps, turned, 3, 1.0, 0, True)


def test_empty_inputs_give_empty_outputs_and_gradients_of_zero(plain):
    maps = torch.randn(2, 4, 9, 9, requires_grad=True)
    for found in (
        ops.roi_align(maps, torch.zeros(0, 5), 3, 1.0, 0, 'avg', True),
        ops.roi_align(maps, torch.zeros(0, 5), 3, 1.0, 2, 'max', True),
        ops.roi_pool(maps, torch.zeros(0, 5), 3, 1.0),
        ops.roi_align_rotated(maps, torch.zeros(0, 6), 3, 1.0, 0, True),
        ops.riroi_align_rotated(maps, torch.zeros(0, 6), (3, 3), 1.0, 0, 4),
        ops.bezier_align(maps, torch.zeros(0, 17), 3, 1.0, 0, True),
        ops.prroi_pool(maps, torch.zeros(0, 5), (3, 3), 1.0),
        ops.deform_roi_pool(maps, torch.zeros(0, 5), torch.zeros(0, 2, 3, 3), (3, 3)),
    ):
        assert found.shape == (0, 4, 3, 3)
        (gradient,) = torch.autograd.grad(found.sum(), maps)
        assert not gradient.any()
    assert ops.nms_match(torch.zeros(0, 5), 0.5) == []
    assert ops.box_iou_rotated(torch.zeros(0, 5), torch.zeros(3, 5)).shape == (0, 3)
    logits = torch.zeros(0, 4, requires_grad=True)
    assert ops.sigmoid_focal_loss(logits, torch.zeros(0).long(), 2.0, 0.25, None, 'sum') == 0


def steps():
    """By name, functions of mmcv and the tensors that they are given."""
    draw = Draw(0)
    maps, rois = draw.randn(2, 4, 17, 23), draw.rois(9, 2, 100).round()
    offset, mask = draw.randn(2, 18, 17, 23), draw.rand(2, 9, 17, 23)
    kernels, logits, labels = draw.randn(3, 4, 3, 3), draw.randn(6, 5) * 3, torch.arange(6)
    attend = ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply
    sides, starts = torch.tensor([[5, 4], [2, 3]]), torch.tensor([0, 20])
    value, places = draw.randn(1, 26, 2, 3), draw.rand(1, 7, 2, 2, 3, 2)
    features, windows = draw.randn(1, 4, 3, 4), draw.rand(1, 18, 6, 8)
    softmax = ops.softmax_focal_loss
    return {
        'roi_align': (lambda x, r: ops.roi_align(x, r, 4, 0.25), maps, rois),
        'largest': (lambda x, r: ops.roi_align(x, r, 4, 0.25, 2, 'max'), maps, rois),
        'roi_pool': (lambda x, r: ops.roi_pool(x, r, 4, 0.25), maps, rois),
        'deform': (lambda *t: ops.deform_conv2d(*t, 1, 1), maps, offset, kernels),
        'masked': (
            lambda *t: ops.modulated_deform_conv2d(*t, None, 1, 1), maps, offset, mask, kernels,
        ),
        'attention': (
            lambda *t: attend(t[0], sides, starts, *t[1:], 64), value, places, places[..., 0],
        ),
        'carafe': (lambda f, m: ops.carafe(f, m, 3, 2, 2), features, windows),
        'focal': (lambda x: ops.sigmoid_focal_loss(x, labels, 2.0, 0.25, None, 'none'), logits),
        'softmax': (lambda x: softmax(x, labels.clamp(max=4), 2.0, 0.25, None, 'sum'), logits),
    }  # fmt: skip


FLOATS = [(torch.float64, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)]


@pytest.mark.parametrize(('dtype', 'tolerance'), FLOATS)
def test_every_float_type_is_near_float32(plain, dtype, tolerance):
    for name, (function, *tensors) in steps().items():
        found, wanted = (
            with_gradients(function(*some), some[0])
            for some in (
                [t.to(kind).requires_grad_(i == 0) for i, t in enumerate(tensors)]
                for kind in (dtype, torch.float32)
            )
        )
        # A position of 16 bits is another place, and a maximum then another cell.
        moved = name in ('deform', 'masked', 'attention', 'largest')
        for a, b in zip(found, wanted, strict=True):
            assert a.dtype == dtype, name
            far = (a.float() - b).abs().max() / b.abs().max()
            assert far < tolerance * (30 if moved else 3), name


def test_autocast_and_autograd_do_not_look_into_operators(plain):
    for name, (function, *tensors) in steps().items():
        with torch.autocast('cpu', torch.bfloat16):
            found = function(*tensors)
        assert torch.equal(found, function(*tensors)), name
    maps, rois = steps()['roi_align'][1:]
    output, empty = torch.zeros(9, 4, 2, 2), torch.zeros(0)
    extension.roi_align_forward(
        maps.requires_grad_(), rois, output, empty, empty, 2, 2, 0.25, 0, 1, True
    )
    assert not output.requires_grad
    assert output.any()


def test_the_order_of_memory_does_not_matter(plain):
    draw = Draw(15)
    maps, kernels, offset = (
        draw.randn(2, 4, 9, 11),
        draw.randn(3, 4, 3, 3),
        draw.randn(2, 18, 9, 11),
    )
    rois = draw.rois(5, 2, 60)
    for function in (
        lambda x: ops.roi_align(x, rois, 3, 1 / 8),
        lambda x: ops.roi_align(x, rois, 3, 1 / 8, 2, 'max'),
        lambda x: ops.roi_pool(x, rois, 3, 1 / 8),
        lambda x: ops.deform_conv2d(x, offset, kernels, 1, 1),
    ):
        plainly = maps.clone().requires_grad_()
        turned = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
        wanted = with_gradients(function(plainly), plainly)
        compare(with_gradients(function(turned), turned), wanted, 1e-6)


def test_attention_is_that_of_grid_sample(plain):
    draw = Draw(1)
    sides, starts = torch.tensor([[5, 4], [2, 3]]), torch.tensor([0, 20])
    tensors = [
        draw.randn(2, 26, 2, 3),
        draw.rand(2, 7, 2, 2, 3, 2) * 1.4 - 0.2,
        draw.rand(2, 7, 2, 2, 3),
    ]
    value, places, shares = (t.requires_grad_() for t in tensors)
    attend = ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply
    wanted = ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch(
        value, sides, places, shares
    )
    wanted = [t.detach().numpy() for t in with_gradients(wanted, value, places, shares)]

    def found():
        output = attend(value, sides, starts, places, shares, 64)
        return [t.detach().numpy() for t in with_gradients(output, value, places, shares)]

    assert_equal(found(), wanted)
    deformable_budget, deformable.BUDGET = deformable.BUDGET, 300  # two queries at a time
    assert_equal(found(), wanted)
    deformable.BUDGET = deformable_budget


def test_roi_pool_takes_the_largest_cell_of_each_bin(plain):
    draw = Draw(2)
    maps = draw.randn(2, 3, 9, 11).requires_grad_()
    rois = draw.rois(8, 2, 30)
    rois[0, 1:] = torch.tensor([-90.0, -90, -80, -80])  # outside
    rois[1, 3:] = rois[1, 1:3] - 9  # upside down
    found = with_gradients(ops.roi_pool(maps, rois, (2, 3), 0.25), maps)
    wanted = torch.zeros(8, 3, 2, 3)
    for n, (b, x1, y1, x2, y2) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = x1 / 4, y1 / 4, (x2 + 1) / 4, (y2 + 1) / 4
        for i in range(2):
            for j in range(3):
                rows = slice(*bounds(y1, y2, i, 2, 9))
                columns = slice(*bounds(x1, x2, j, 3, 11))
                cells = maps[int(b), :, rows, columns]
                if x2 > x1 and y2 > y1 and cells.numel():
                    wanted[n, :, i, j] = cells.amax((1, 2))
    assert_equal(
        [t.detach().numpy() for t in found],
        [t.detach().numpy() for t in with_gradients(wanted, maps)],
    )


def bounds(start, end, index, bins, length):
    """The cells from which and up to which a bin reaches."""
    size = (end - start) / bins
    first, last = np.floor(index * size + start), np.ceil((index + 1) * size + start)
    return int(np.clip(first, 0, length)), int(np.clip(last, 0, length))


@pytest.mark.parametrize('weighed', [False, True])
def test_focal_losses_are_their_formulas(plain, weighed):
    draw = Draw(3)
    logits = (draw.randn(12, 5) * 2).requires_grad_()
    labels = torch.from_numpy(draw.numbers.randint(0, 5 if weighed else 6, 12))  # 5 is background
    weight = draw.rand(5) if weighed else None
    found = ops.sigmoid_focal_loss(logits, labels, 2.0, 0.25, weight, 'none')
    target = F.one_hot(labels, 6)[:, :5].float()
    p = logits.sigmoid()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    loss = loss * torch.where(target > 0, 0.25 * (1 - p) ** 2, 0.75 * p**2)
    loss = loss * weight[labels][:, None] if weighed else loss
    compare(with_gradients(found, logits), with_gradients(loss, logits), 1e-5)
    labels = labels.clamp(max=4)
    found = ops.softmax_focal_loss(logits, labels, 1.5, 0.25, weight, 'sum')
    p = logits.softmax(1)[torch.arange(12), labels]
    loss = -0.25 * (1 - p) ** 1.5 * p.log() * (weight[labels] if weighed else 1)
    compare(with_gradients(found, logits), with_gradients(loss.sum(), logits), 1e-5)


def compare(found, wanted, tolerance):
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_carafe_weighs_the_window_of_each_cell(plain):
    draw = Draw(4)
    features, masks = (
        draw.randn(2, 4, 3, 4).requires_grad_(),
        draw.rand(2, 18, 6, 8).requires_grad_(),
    )
    padded = F.pad(features, (1, 1, 1, 1))
    wanted = torch.stack([
        (padded[:, :, y // 2 : y // 2 + 3, x // 2 : x // 2 + 3].unflatten(1, (2, 2))
         * masks[:, :, y, x].view(2, 2, 1, 3, 3)).sum((3, 4)).flatten(1)
        for y in range(6) for x in range(8)
    ], 2).view(2, 4, 6, 8)  # fmt: skip
    found = ops.carafe(features, masks, 3, 2, 2)
    compare(with_gradients(found, features, masks), with_gradients(wanted, features, masks), 1e-5)
    assert torch.equal(ops.carafe_naive(features, masks, 3, 2, 2), found)


def test_a_masked_convolution_is_one_where_the_mask_is(plain):
    draw = Draw(5)
    images, kernels, bias = draw.randn(1, 3, 7, 8), draw.randn(4, 3, 3, 3), draw.randn(4)
    mask = draw.rand(1, 7, 8) > 0.5
    found = ops.masked_conv2d(images, mask, kernels, bias, 1)
    wanted = torch.where(mask, F.conv2d(images, kernels, bias, padding=1), 0)
    torch.testing.assert_close(found, wanted)
    assert not ops.masked_conv2d(images, mask & False, kernels, bias, 1).any()


def test_precise_roi_pooling_is_exact_for_planes_and_its_gradient_is_its_transpose(plain):
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing='ij')
    maps = (2 * y - 3 * x + 1)[None, None].requires_grad_()
    rois = torch.tensor([[0, 4.0, 6, 28, 26], [0, 5, 5, 5, 9], [0, -90, -90, -50, -50]])
    found = ops.prroi_pool(maps, rois, (2, 3), 0.25)
    left, top = 1 + 6 * (torch.arange(3) + 0.5) / 3, 1.5 + 5 * (torch.arange(2) + 0.5) / 2
    torch.testing.assert_close(found[0, 0], 2 * top[:, None] - 3 * left + 1)
    assert not found[1:].any()
    draw = Draw(6)
    maps, grad = draw.randn(2, 3, 9, 11).requires_grad_(), draw.randn(5, 3, 2, 3)
    found = ops.prroi_pool(maps, draw.rois(5, 2, 30), (2, 3), 0.25)
    (gradient,) = torch.autograd.grad(found, maps, grad)
    torch.testing.assert_close((found * grad).sum(), (maps * gradient).sum())


def test_deformable_pooling_moves_bins(plain):
    draw = Draw(7)
    maps, rois = draw.randn(2, 3, 17, 19), draw.rois(6, 2, 90)
    none = torch.zeros(0)
    still = ops.deform_roi_pool(maps, rois, none, (2, 2), 0.125, 2)
    torch.testing.assert_close(still, ops.roi_align(maps, rois, 2, 0.125, 2))
    # All bins of a region moved right by a tenth of its width: the region is moved.
    offset = torch.zeros(6, 2, 2, 2)
    offset[:, 0] = 1
    moved = rois.clone()
    moved[:, [1, 3]] += 0.1 * (rois[:, 3] - rois[:, 1])[:, None]
    maps.requires_grad_(), offset.requires_grad_()
    found = ops.deform_roi_pool(maps, rois, offset, (2, 2), 0.125, 2)
    wanted = ops.roi_align(maps, moved, 2, 0.125, 2)
    compare(with_gradients(found, maps), with_gradients(wanted, maps), 1e-4)
    (slope,) = torch.autograd.grad(found.sum(), offset)
    step = torch.zeros_like(offset)
    step[2, 1, 0, 1] = 1e-2
    up, down = (
        ops.deform_roi_pool(maps, rois, offset + s, (2, 2), 0.125, 2).sum() for s in (step, -step)
    )
    torch.testing.assert_close(slope[2, 1, 0, 1], (up - down) / 2e-2, rtol=2e-2, atol=1e-3)


def test_turned_regions_turn_their_orientations(plain):
    draw = Draw(8)
    maps = draw.randn(2, 8, 17, 19).requires_grad_()
    rois = torch.cat([(draw.rand(6, 1) * 2).floor(), draw.rotated(6)], 1)
    rois[:, 5] = torch.pi / 2  # by one of four orientations
    pooled = ops.roi_align_rotated(maps, rois, (2, 3), 0.25, 2, False, False)
    found = ops.riroi_align_rotated(maps, rois, (2, 3), 0.25, 2, 4, False)
    wanted = pooled.unflatten(1, (2, 4)).roll(1, 2).flatten(1, 2)
    compare(with_gradients(found, maps), with_gradients(wanted, maps), 1e-5)
    rois[:, 5] *= 1.5
    pooled = ops.roi_align_rotated(maps, rois, (2, 3), 0.25, 2, False, False).unflatten(1, (2, 4))
    found = ops.riroi_align_rotated(maps, rois, (2, 3), 0.25, 2, 4, False)
    wanted = (pooled.roll(1, 2) + pooled).flatten(1, 2) / 2
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_border_align_takes_the_largest_of_each_side(plain):
    draw = Draw(9)
    maps = draw.randn(2, 8, 9, 11).requires_grad_()
    corner = draw.rand(2, 5, 2) * 4
    boxes = torch.cat([corner, corner + draw.rand(2, 5, 2) * 4], 2)
    x1, y1, x2, y2 = boxes[..., None].unbind(2)
    step = torch.linspace(0, 1, 5)
    right, down, left, up = (
        a + step * (b - a) for a, b in ((x1, x2), (y1, y2), (x2, x1), (y2, y1))
    )
    sides = [(right, y1), (x1, down), (left, y2), (x2, up)]
    wanted = []
    for part, side in zip(maps.chunk(4, 1), sides, strict=True):
        x, y = torch.broadcast_tensors(*side)
        points = torch.stack([x / 5 - 1, y / 4 - 1], 3)
        wanted.append(F.grid_sample(part, points, align_corners=True).amax(3))
    wanted = torch.stack(wanted, 3)
    found = ops.border_align(maps, boxes, 4)
    compare(with_gradients(found, maps), with_gradients(wanted, maps), 1e-4)


def test_batch_norm_by_steps_is_batch_norm(plain):
    from mmcv.ops.sync_bn import SyncBatchNormFunction

    draw = Draw(10)
    tensors = [draw.randn(4, 3, 5, 2), draw.rand(3), draw.randn(3)]
    found, wanted, means = [], [], []
    for step in (True, False):
        x, weight, bias = (t.clone().requires_grad_() for t in tensors)
        mean, var = torch.zeros(3), torch.ones(3)
        if step:
            y = SyncBatchNormFunction.apply(
                x, mean, var, weight, bias, 0.1, 1e-5, None, 1, 'default'
            )
        else:
            y = F.batch_norm(x, mean, var, weight, bias, True, 0.1, 1e-5)
        (found if step else wanted).extend(with_gradients(y, x, weight, bias))
        means.append((mean, var))
    compare(found, wanted, 1e-5)
    compare(*means, 1e-6)


def test_operators_of_stylegan_are_mmcvs_own_references(plain):
    from mmcv.ops.fused_bias_leakyrelu import FusedBiasLeakyReLUFunction, bias_leakyrelu_ref

    draw = Draw(11)
    x, bias = draw.randn(2, 3, 5, 4).requires_grad_(), draw.randn(3).requires_grad_()
    found = FusedBiasLeakyReLUFunction.apply(x, bias, 0.2, 2**0.5)
    compare(
        with_gradients(found, x, bias), with_gradients(bias_leakyrelu_ref(x, bias), x, bias), 1e-6
    )
    kernel = draw.rand(3, 4)
    for flip in (False, True):
        wanted = ops.upfirdn2d(
            x, kernel, up=[2, 3], down=[1, 2], padding=[1, 2, -1, 3], flip_filter=flip, gain=3
        )
        found = extension.upfirdn2d(x, kernel, 2, 3, 1, 2, 1, 2, -1, 3, flip, 3)
        torch.testing.assert_close(found, wanted)


def test_every_name_that_mmcv_asks_for_is_there_and_what_is_missing_says_so():
    source = ''.join(Path(module.__file__).read_text() for module in MODULES)
    names = {
        name.value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and getattr(call.func, 'attr', '') == 'load_ext'
        for name in call.args[1].elts
    }
    assert set(extension.PLAIN) <= names
    assert len(names) > 100
    for name in (
        names - set(extension.PLAIN) - {'get_compiler_version', 'get_compiling_cuda_version'}
    ):
        with pytest.raises(NotImplementedError, match=f'operator {name} .* a compiled mmcv has it'):
            getattr(extension, name)()
    assert not hasattr(extension, '__wrapped__')


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(n, marks=[] if n in ('roi_align', 'deform') else pytest.mark.slow)
        for n in ('roi_align', 'attention', 'deform', 'masked', 'carafe', 'focal', 'softmax')
    ],
)
def test_operators_do_not_break_a_graph(plain, name):
    function, *tensors = steps()[name]
    leaves = [t.requires_grad_() for t in tensors[: 1 if name == 'roi_align' else None]]
    wanted = with_gradients(function(*tensors), *leaves)
    torch._dynamo.reset()
    whole = torch.compile(function, backend='aot_eager', fullgraph=True)
    compare(with_gradients(whole(*tensors), *leaves), wanted, 1e-5)


@needs_tracer
def test_nms_is_one_node_of_a_graph_that_may_have_shapes_of_its_own(plain):
    draw = Draw(13)
    tensors = draw.boxes(50), draw.rand(50)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        whole = torch.compile(ops.nms, backend='aot_eager', fullgraph=True)
        compare(whole(*tensors, 0.5), ops.nms(*tensors, 0.5), 0)


def test_the_finder_answers_for_nothing_else():
    operators.offer()  # as often as one likes
    finders = [f for f in sys.meta_path if isinstance(f, operators.OperatorFinder)]
    assert len(finders) == 1
    assert [
        finders[0].find_spec(n) for n in ('mmcv', 'mmcv.ops', 'mmdet', '_ext', 'mmdet._ext')
    ] == [None] * 5
    assert finders[0].find_spec('mmcv._ext').loader is finders[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that stands for mmcv's, without operators."""
    monkeypatch.setattr(operators, 'mmcv_folder', lambda: tmp_path)
    return tmp_path


def test_a_file_is_installed_and_removed(folder, capsys):
    main(['operators'])
    assert (
        'plain PyTorch, in programs that import mmbackbones before mmdet' in capsys.readouterr().out
    )
    main(['operators', '--install'])
    main(['operators', '--install'])  # once more does no harm
    file = folder / '_ext.py'
    assert (
        f"mmcv uses mmbackbones' operators in plain PyTorch, by {file}" in capsys.readouterr().out
    )
    assert len(file.read_text().splitlines()) == 2
    cached = Path(importlib.util.cache_from_source(str(file)))
    cached.parent.mkdir()
    cached.touch()
    main(['operators', '--remove'])
    assert f'removed {file}' in capsys.readouterr().out
    assert not file.exists()
    assert not cached.exists()
    main(['operators', '--remove'])
    assert 'there is no file of ours' in capsys.readouterr().out


def test_a_file_of_somebody_else_stays(folder):
    (folder / '_ext.py').write_text('# mine')
    for action in ('--install', '--remove'):
        if action == '--install':
            with pytest.raises(SystemExit, match='written by somebody else'):
                main(['operators', action])
        else:
            main(['operators', action])
        assert (folder / '_ext.py').read_text() == '# mine'


def test_compiled_operators_win_and_what_is_left_is_told(folder, monkeypatch):
    operators.install()
    binary = folder / f'_ext{EXTENSION_SUFFIXES[0]}'
    binary.touch()
    assert isinstance(PathFinder.find_spec('mmcv._ext', [str(folder)]).loader, ExtensionFileLoader)
    assert operators.state() == f'operators of its own, {binary}'
    with pytest.raises(SystemExit, match='operators of its own'):
        main(['operators', '--install'])
    monkeypatch.setattr(doctor, 'operate', lambda device: ([0, 2], [2.5, 4.5, 10.5, 12.5]))
    left = next(doctor.operators())
    assert (left.state, left.cure) == ('note', 'python -m mmbackbones operators --remove')
    assert operators.remove()
    assert next(doctor.operators()).state == 'ok'


def test_without_mmcv_there_is_nothing_to_install_into(monkeypatch):
    monkeypatch.setattr(operators, 'find_spec', lambda name: None)
    assert operators.state() == 'no operators: it is not installed'
    with pytest.raises(SystemExit, match='there is no mmcv to write into'):
        main(['operators', '--install'])


TRY = """
import sys
{first}
import mmcv.ops
assert mmcv.__file__.startswith({folder!r})
assert mmcv.ops.get_compiler_version().startswith('none')
from mmbackbones import doctor
print([found.state for found in doctor.operators()])
"""


def test_an_mmcv_without_operators_has_ours(tmp_path):
    """In programs that import mmbackbones first, and after the file is installed in all."""
    source = Path(ops.__file__).parent.parent
    ignored = shutil.ignore_patterns('_ext*', 'csrc', '__pycache__')
    folder = Path(shutil.copytree(source, tmp_path / 'mmcv', ignore=ignored))
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    # A second program tells what the first one leaves.
    for first in ('import mmbackbones; assert "mmcv" not in sys.modules', ''):
        code = TRY.format(first=first, folder=str(tmp_path))
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', code],
            capture_output=True,
            text=True,
            env=os.environ | {'PYTHONPATH': paths},
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "['ok', 'ok']"
        assert (done.stdout + done.stderr).count('mmcv has no compiled operators') == 1
        (folder / '_ext.py').write_text(operators.FILE)


def test_tools_import_mmbackbones_before_operators_are_asked_for():
    """At the top of a tool stands nothing that imports mmcv's operators.

    The modules for whole models are imported when there is a model of mm.
    """
    whole = ROOT / 'tools/lib/whole'
    for path in {*(ROOT / 'tools').rglob('*.py')} - {*whole.glob('[a-z]*.py')}:
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith(('mmdet', 'mmseg', 'mmcv.ops', 'mmcv.cnn')), (path, name)


@pytest.mark.slow
def test_regions_and_boxes_export_to_standard_operators_of_any_size(plain, tmp_path):
    ort = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    from mmbackbones.operators.onnx import translations

    class Model(torch.nn.Module):
        def forward(self, maps, rois, scores):
            kept = ops.nms(rois[:, 1:], scores, 0.5)[1]
            return ops.roi_align(maps, rois, (3, 5), 1 / 8), kept

    draw, dim = Draw(14), torch.export.Dim
    sizes = {2: dim('h'), 3: dim('w')}, {0: dim('n')}, {0: dim('n')}
    example = draw.randn(2, 4, 20, 30), draw.rois(5, 2), draw.rand(5)
    file = tmp_path / 'model.onnx'
    torch.onnx.export(
        Model().eval(), example, file, dynamo=True, verbose=False, dynamic_shapes=sizes,
        custom_translation_table=translations(),
    )  # fmt: skip
    session = ort.InferenceSession(file, providers=['CPUExecutionProvider'])
    tensors = draw.randn(2, 4, 33, 17), draw.rois(60, 2), draw.rand(60)
    names = [item.name for item in session.get_inputs()]
    found = session.run(None, dict(zip(names, (t.numpy() for t in tensors), strict=True)))
    assert_equal(found, [t.numpy() for t in Model()(*tensors)])
