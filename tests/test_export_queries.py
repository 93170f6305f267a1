"""Whole files of DETRs, of models with mask queries and of segmenters find what mm finds."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from versions import needs_exporter

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import export  # noqa: F401  it quietens the exporter
from lib.engines import read_onnx, read_openvino, write_onnx
from lib.whole import Refused, refuse_operators, whole_model
from lib.whole.compare import difference, expected, is_equal, shapes
from lib.whole.deformable import centres, far_inside, replaced
from mmcv.ops import CrissCrossAttention, MultiScaleDeformableAttention, RoIPool
from mmcv.ops.merge_cells import SumCell
from mmengine.model import revert_sync_batchnorm
from test_heads_matrix import SEGMENTERS, whole
from test_mask_models import model_of
from test_published_models import build
from test_whole_dino import detector

EXAMPLE = 224, 288  # so large that every map has several windows
SIZES = (64, 96), (97, 61), (33, 40), (128, 130)
DETRS = [
    'conditional_detr/conditional-detr_r50_8xb2-50e_coco',
    'dab_detr/dab-detr_r50_8xb2-50e_coco',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
    'deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco',
    'detr/detr_r50_8xb2-150e_coco',
]
HEADS = ['fcn/fcn_r50-d8_4xb4-160k_ade20k-512x512', 'upernet/upernet_r50_4xb4-160k_ade20k-512x512']
QUICK = [f'mmseg::{name}' for name in HEADS] + [f'mmdet::{DETRS[0]}', f'mmdet::{DETRS[3]}']
SHIPPED = [f'mmdet::{name}' for name in DETRS] + [f'mmseg::{name}' for name in SEGMENTERS]
SLOW = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow, id=name) for name in SHIPPED
]


@pytest.fixture(scope='module', autouse=True)
def _quiet():
    """PyTorch tells all about its symbols to whoever listens, as pytest does."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def varied(model):
    """A model with random weights of every layer, so that what it finds differs."""
    for tensor in model.state_dict().values():
        if tensor.is_floating_point() and tensor.dim() > 1:
            tensor.copy_(torch.randn_like(tensor) * 1.5 / tensor[0].numel() ** 0.5)
    return model.requires_grad_(False)


def shipped(name, **preprocessor):
    """A model of a config of mm with a small Swin."""
    cfg = whole(name, 'SwinTransformer')
    if 'encoder' in cfg.model:
        cfg.model.encoder.num_layers = cfg.model.decoder.num_layers = 2
        # The maps of a small picture must have as many cells as there are proposals.
        cfg.model.num_queries = 30 if cfg.model.get('as_two_stage') else 100
    cfg.model.data_preprocessor.update(preprocessor)
    return varied(revert_sync_batchnorm(build(cfg)))


def dino(**options):
    """A small DINO."""
    model = varied(detector('dino_4scale_swin_t', {}, layers=1, **options))
    model.bbox_head.test_cfg.max_per_img = 50
    return model


def masks(*arguments):
    """A small model with mask queries that is sure of what it finds."""
    model = varied(model_of(*arguments))
    head = getattr(model, 'panoptic_head', None) or model.decode_head
    head.cls_embed.weight.mul_(4)
    head.cls_embed.bias[-1] -= 5  # of nothing
    list(head.mask_embed.parameters())[-2].mul_(4)
    if hasattr(model, 'panoptic_fusion_head'):
        thresholds = dict(object_mask_thr=0.2, iou_thr=0.1, max_per_image=10)
        model.panoptic_fusion_head.test_cfg.update(thresholds)
    return model


def semantic():
    """A small Mask2Former for segmentation whose scores of classes are not all 1, so seldom tie."""
    model = masks('mask2former', 'semantic')
    model.decode_head.cls_embed.weight.div_(4)
    list(model.decode_head.mask_embed.parameters())[-2].div_(16)
    return model


def panoptic(method):
    """A small model that finds the segments of a picture, some of them stuff."""
    return masks(method, 'panoptic', 4, 3)


def instances():
    """A small Mask2Former that finds things."""
    return masks('mask2former', 'instance')


def compared(model, size, read=None, **settings):
    """How a module, or its file, and mm differ in a picture; and the module's outputs."""
    net, image = whole_model(model, settings), shapes(*size)
    with torch.no_grad():
        found = (read or net)(torch.from_numpy(image))
    found = dict(zip(net.output_names, map(np.asarray, found), strict=True))
    return difference(found, expected(net, image)), found


@pytest.mark.parametrize('name', SLOW)
def test_shipped_models_find_the_same(name):
    row, found = compared(shipped(name), (97, 70))
    assert is_equal(row), row
    assert row.get('finds', 1)
    assert found


@pytest.mark.parametrize('gather', [False, True])
@pytest.mark.parametrize('divisor', [1, 32])
def test_dino_finds_the_same_with_padding_and_without(gather, divisor):
    model = dino()
    model.data_preprocessor.pad_size_divisor = divisor
    row, found = compared(model, (70, 97), gather=gather)
    assert is_equal(row)
    assert row['finds'] == 50
    assert found['boxes'].std() > 1


def test_the_border_of_proposals_is_where_mm_has_it():
    for count in (*range(1, 201), 250, 800, 1333):
        centre = centres(count, 1)  # of one column, at 0.5
        inside = ((centre > 0.01) & (centre < 0.99)).all(1)  # PyTorch divides exactly
        assert (far_inside(count, 1) == inside).all(), count
        assert (far_inside(1, count + 7, None, torch.tensor(float(count)))[:count] == inside).all()


class Border(torch.nn.Module):
    """Where `far_inside` is, for a map as large as the image."""

    output_names, axes = ('inside',), {0: 'height', 1: 'width'}

    def forward(self, image):
        return far_inside(*image.shape[:2]).int()


@needs_exporter
@pytest.mark.parametrize('read', [read_onnx, read_openvino])
def test_engines_have_the_border_of_proposals_where_mm_has_it(read, tmp_path):
    net, path = Border(), str(tmp_path / 'border.onnx')
    write_onnx(net, torch.zeros(100, 60, 3, dtype=torch.uint8), path, True, 20)
    run = read(path)
    for size in ((50, 70), (100, 50), (150, 40)):
        image = torch.zeros(*size, 3, dtype=torch.uint8)
        assert (run(image)[0] == net(image)).all()


@needs_exporter
@pytest.mark.parametrize('read', [read_onnx, read_openvino])
def test_weights_of_half_the_size_are_read_as_float32(read, tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.Conv2d(64, 64, 3)).eval()
    net[1].weight.data[0] *= 1e9  # more than float16 holds
    net.output_names, net.stores_half, path = ['map'], True, tmp_path / 'net.onnx'
    image = torch.rand(1, 3, 9, 11)
    write_onnx(net, image, str(path), False, 20)
    (found,) = read(str(path))(image)
    net[0].weight.data = net[0].weight.data.half().float()
    with torch.no_grad():
        torch.testing.assert_close(torch.as_tensor(found), net(image), atol=1e-3, rtol=1e-4)
    kept = net[1].weight.numel() * 4
    assert kept < path.stat().st_size < kept + net[0].weight.numel() * 2 + 3000


def test_padding_reaches_the_masks_of_detr():
    row, _ = compared(shipped(f'mmdet::{DETRS[4]}', pad_size_divisor=32), (70, 97))
    assert is_equal(row)
    assert row['finds'] == 100


@pytest.mark.parametrize('size', [(1, 1), (5, 3)])
def test_tiny_pictures_have_fewer_cells_than_dino_has_queries(size):
    with torch.no_grad():
        boxes, scores, _ = whole_model(dino())(torch.zeros(*size, 3, dtype=torch.uint8))
    assert boxes.shape == (50, 4)
    assert scores.isfinite().all()
    assert (boxes <= max(size)).all()
    assert (boxes >= 0).all()


def test_several_pictures_at_once_are_found_as_one_by_one():
    model = dino()
    images = torch.from_numpy(np.stack([shapes(64, 96), shapes(64, 96)[::-1]]))
    with torch.no_grad():
        together = whole_model(model, dict(batch=2))(images)
        one = whole_model(model)(images[1])
    for several, single in zip(together, one, strict=True):
        torch.testing.assert_close(several[1], single, atol=1e-4, rtol=1e-4)


def test_instances_of_mask2former_are_the_same_masks():
    row, found = compared(instances(), (70, 97))
    assert is_equal(row)
    assert row['finds'] == 10
    assert found['masks'].shape == (10, 70, 97)
    assert found['masks'].any()


def test_a_model_of_stuff_and_things_gives_things_only_as_instances():
    model = panoptic('mask2former')
    model.panoptic_fusion_head.test_cfg.update(panoptic_on=False, instance_on=True)
    row, found = compared(model, (70, 97))
    assert is_equal(row)
    assert 0 < len(found['labels']) < 10
    assert (found['labels'] < 4).all()


@pytest.mark.parametrize('method', ['mask2former', 'maskformer'])
@pytest.mark.parametrize('clear', [False, True])
def test_segments_are_the_same_and_their_table_says_what_they_are(method, clear):
    model = panoptic(method)
    model.panoptic_fusion_head.test_cfg.filter_low_score = clear
    row, found = compared(model, (70, 97))
    assert row['pixels'] == 0
    values, labels, scores = found['segments'].T
    on_map = set(np.unique(found['panoptic'])) - {7}
    assert sorted(values) == sorted(on_map)
    assert on_map
    assert (values % 1000 == labels).all()
    assert (scores > 0.2).all()


def test_nothing_found_is_a_map_of_nothing_and_an_empty_table():
    model = panoptic('mask2former')
    model.panoptic_fusion_head.test_cfg.object_mask_thr = 1.0
    row, found = compared(model, (70, 97))
    assert row['pixels'] == 0
    assert (found['panoptic'] == 7).all()
    assert found['segments'].shape == (0, 3)


def test_semantic_mask2former_pads_as_in_tests():
    model = semantic()
    row, found = compared(model, (70, 97), scores=True)
    assert row['pixels'] == 0
    assert found['scores'].std() > 1e-2
    assert found['scores'].shape == (7, 70, 97)
    assert (found['scores'].argmax(0) == found['classes']).all()


def test_a_segmenter_of_one_class_has_a_threshold():
    model = shipped(f'mmseg::{HEADS[0]}')
    head = model.decode_head
    head.conv_seg, head.num_classes, head.out_channels = torch.nn.Conv2d(512, 1, 1), 2, 1
    head.threshold = 0.5
    head.conv_seg.requires_grad_(False)
    row, found = compared(model, (64, 64), scores=True)
    assert row['pixels'] == 0
    assert found['scores'].shape == (1, 64, 64)
    assert 0 <= found['scores'].min() <= found['scores'].max() <= 1


@pytest.mark.parametrize('size', [(64, 64), (97, 70), (40, 129)])
def test_a_segmenter_that_is_tested_in_windows_averages_them(size):
    model = shipped(f'mmseg::{HEADS[0]}')
    model.test_cfg = type(model.test_cfg)(mode='slide', crop_size=(64, 48), stride=(30, 32))
    net, image = whole_model(model, dict(size=size, scores=True)), torch.from_numpy(shapes(*size))
    with torch.no_grad():
        classes, scores = net(image)
    assert scores.shape[1:] == size
    assert (classes.numpy() == expected(net, image.numpy())['classes']).all()


def test_what_is_not_known_is_refused_in_a_sentence():
    model = shipped(f'mmseg::{HEADS[0]}')
    model.test_cfg = type(model.test_cfg)(mode='slide', crop_size=(64, 64), stride=(32, 32))
    with pytest.raises(Refused, match=r"mode 'slide'.* depends on its size: give --size"):
        whole_model(model)
    model.test_cfg = type(model.test_cfg)(mode='crop')
    with pytest.raises(Refused, match="mode 'crop'; mmseg knows whole and slide"):
        whole_model(model)
    model.test_cfg = type(model.test_cfg)(mode='whole')
    model.data_preprocessor.test_cfg = dict(size=(64, 64))
    with pytest.raises(Refused, match='pads pictures to one size'):
        whole_model(model)
    image = shapes(64, 80)  # as large, so that nothing is padded
    net = whole_model(model, dict(size=(64, 80)))
    with torch.no_grad():
        (classes,) = net(torch.from_numpy(image))
    assert (classes.numpy() == expected(net, image)['classes']).all()
    model = panoptic('maskformer')
    model.panoptic_fusion_head.test_cfg.panoptic_on = False
    with pytest.raises(Refused, match='both off'):
        whole_model(model)
    with pytest.raises(Refused, match='DDQDETR has a pre_decoder'):
        whole_model(shipped('mmdet::ddq/ddq-detr-4scale_r50_8xb2-12e_coco'))


def test_of_mmcv_only_operators_are_refused_that_engines_lack():
    refuse_operators(torch.nn.ModuleList([CrissCrossAttention(8), SumCell(4, 4)]))
    with pytest.raises(Refused, match='ModuleList has RoIPool of mmcv, which engines lack'):
        refuse_operators(torch.nn.ModuleList([SumCell(4, 4), RoIPool(7)]))


def test_modules_of_mm_are_as_they_were_after_a_prediction():
    model = dino()
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    with torch.no_grad():
        whole_model(model)(torch.from_numpy(shapes(40, 40)))
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before
    attention = next(m for m in model.modules() if isinstance(m, MultiScaleDeformableAttention))
    with pytest.raises(TypeError, match='len'), replaced(attention, forward=len):
        attention()
    assert 'forward' not in vars(attention)


@pytest.mark.slow
def test_files_of_segmenters_that_are_tested_in_windows(tmp_path):
    model, size, path = shipped(f'mmseg::{HEADS[0]}'), (97, 129), str(tmp_path / 'model.onnx')
    model.test_cfg = type(model.test_cfg)(mode='slide', crop_size=(64, 48), stride=(30, 32))
    net, image = whole_model(model, dict(size=size)), torch.from_numpy(shapes(*size))
    write_onnx(net, image, path, False, 20)
    wanted = expected(net, image.numpy())['classes']
    for read in (read_onnx(path), read_openvino(path)):
        (classes,) = read(image)
        assert (np.asarray(classes) == wanted).all()


@needs_exporter
@pytest.mark.parametrize('make', [dino, instances])
def test_files_for_one_size_find_the_same(make, tmp_path):
    """The same for every size, and of the other methods, takes a minute each: see below."""
    model, size, path = make(), SIZES[0], str(tmp_path / 'model.onnx')
    net = whole_model(model)
    write_onnx(net, torch.from_numpy(shapes(*size)), path, False, 20)
    for read in (read_onnx(path), read_openvino(path)):
        row, _ = compared(model, size, read)
        assert is_equal(row), row
        assert row['finds'] in (10, 50)


@pytest.mark.slow
@pytest.mark.parametrize('make', [instances, semantic, lambda: panoptic('maskformer')])
def test_files_with_half_the_weights_find_nearly_the_same(make, tmp_path):
    net, paths = whole_model(make()), [str(tmp_path / name) for name in ('full.onnx', 'half.onnx')]
    for path in paths:
        net.stores_half = path is paths[1]
        write_onnx(net, torch.from_numpy(shapes(*EXAMPLE)), path, True, 20)
    full, half = (Path(path).stat().st_size for path in paths)
    weights = sum(parameter.numel() for parameter in net.parameters())
    assert full - half > 1.5 * weights
    for read in (read_onnx, read_openvino):
        run = read(paths[1])
        for size in SIZES:
            image = shapes(*size)
            outputs = map(np.asarray, run(torch.from_numpy(image)))
            found = dict(zip(net.output_names, outputs, strict=True))
            row = difference(found, expected(net, image))
            assert is_equal(row, half=True), (size, row)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('make', 'settings'),
    [
        (dino, {}),
        (dino, dict(gather=True)),
        (instances, {}),
        (lambda: panoptic('mask2former'), {}),
        (lambda: panoptic('maskformer'), {}),
        (semantic, dict(scores=True)),
        (lambda: shipped(f'mmseg::{HEADS[1]}'), {}),
        *((lambda name=name: shipped(f'mmdet::{name}'), {}) for name in DETRS),
    ],
    ids=[
        'dino', 'dino with gather', 'instances', 'panoptic', 'maskformer', 'semantic', 'upernet',
        *DETRS,
    ],
)  # fmt: skip
def test_files_find_the_same_at_every_size(make, settings, tmp_path):
    model, path = make(), str(tmp_path / 'model.onnx')
    net = whole_model(model, settings)
    write_onnx(net, torch.from_numpy(shapes(*EXAMPLE)), path, True, 20)
    for read in (read_onnx(path), read_openvino(path)):
        for size in SIZES:
            row, _ = compared(model, size, read, **settings)
            assert is_equal(row), (size, row)
        for size in ((1, 1), (5, 3)):
            outputs = read(torch.zeros(*size, 3, dtype=torch.uint8))
            assert len(outputs) == len(net.output_names)
