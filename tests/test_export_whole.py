"""Files of whole detectors find what mmdet finds: dense heads and detectors of two stages."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from versions import needs_exporter

pytest.importorskip('mmdet')

import openvino
from families import NAMES
from lib import engines
from lib.whole import EXAMPLE, Refused, compare, whole_model
from lib.whole.boxes import paste
from lib.whole.metadata import describe
from lib.whole.picture import Picture
from mmdet.datasets.transforms import Pad
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmengine.config import Config
from test_heads_matrix import whole as config_of
from test_published_models import build, randomised

ROOT = Path(__file__).parent.parent
METHODS = [
    'retinanet/retinanet_r50_fpn_1x_coco',
    'atss/atss_r50_fpn_1x_coco',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'gfl/gfl_r50_fpn_1x_coco',
    'rtmdet/rtmdet_s_8xb32-300e_coco',
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco',
    'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
]
LAST_LAYERS = {'cls': (1.2, -5), 'reg': (0.5, 0.5), 'centerness': (1, 0), 'logits': (2, 0)}
SMALL = """
_base_ = '{base}'
model = dict(
    backbone=dict(init_cfg=None,
                  arch=dict(_delete_=True, dims=[16, 16], depths=[1, 1], heads=[1, 1]),
                  out_indices=(0, 1)),
    neck=dict(in_channels=[16, 16], out_channels=16, num_outs=2, {neck}),
"""
MASK_RCNN = """
    rpn_head=dict(in_channels=16, feat_channels=16, anchor_generator=dict(strides=[4, 8])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16, featmap_strides=[4, 8]),
        mask_roi_extractor=dict(out_channels=16, featmap_strides=[4, 8]),
        bbox_head=dict(type='ConvFCBBoxHead', num_shared_convs=1, num_shared_fcs=1, in_channels=16,
                       conv_out_channels=16, fc_out_channels=16, num_classes=3,
                       norm_cfg=dict(type='BN')),
        mask_head=dict(in_channels=16, conv_out_channels=16, num_convs=1, num_classes=3),
    ),
    test_cfg=dict(rpn=dict(max_per_img=50)),
)
"""
RETINANET = """
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1, num_classes=3,
                   anchor_generator=dict(strides=[4, 8])),
)
"""


def small(folder, method, rest, neck=''):
    """The path of a config of ours with a small model of two levels."""
    base = ROOT / f'configs/{method}_swin_t.py'
    path = folder / f'small_{method}.py'
    path.write_text(SMALL.format(base=base, neck=neck) + rest)
    return path


def narrow(part):
    """Make the parts of a model behind its neck small, so that tests are quick."""
    sizes = dict(fc_out_channels=16, conv_out_channels=16, num_convs=1, stacked_convs=1)
    part.update({name: size for name, size in sizes.items() if name in part})
    for each in part.values():
        for inner in each if isinstance(each, list) else [each]:
            if isinstance(inner, dict):
                narrow(inner)


def sure(model):
    """A model whose scores and boxes differ: its last layers are scaled to its own outputs."""
    image, first = compare.shapes(96, 128), []
    model = randomised(model).requires_grad_(False)
    for name, layer in model.named_modules():
        kind = re.sub(r'(\.\d+)?$', '', name, count=1).rpartition('_')[2]
        if kind in LAST_LAYERS and getattr(layer, 'bias', None) is not None:
            first.append((layer, *LAST_LAYERS[kind], len(layer.bias) % 4 == 1))
    for layer, spread, mean, with_background in first:
        with compare.outputs_of([layer]) as seen:
            compare.expected(whole_model(model), image)
        values = [each if each.dim() < 4 else each.movedim(1, -1) for each in seen]
        values = torch.cat([each.flatten(0, -2) for each in values])
        factor = spread / values.std(0).clamp(min=1e-6)
        layer.weight.mul_(factor.view(-1, *[1] * (layer.weight.dim() - 1)))
        layer.bias.copy_((layer.bias - values.mean(0)) * factor + mean)
        if with_background and isinstance(layer, torch.nn.Linear):
            layer.bias[-1] += 3
    return model.eval()


def found(whole, image):
    """What the module finds, by name."""
    with torch.no_grad():
        outputs = map(np.asarray, whole(torch.from_numpy(image)))
        return dict(zip(whole.output_names, outputs, strict=True))


@pytest.mark.parametrize('method', METHODS)
def test_modules_find_what_mmdet_finds(method):
    cfg = config_of(f'mmdet::{method}', 'SwinTransformer')
    narrow(cfg.model)
    whole = whole_model(sure(build(cfg)), cfg=cfg)
    for size in ((96, 128), (101, 77), (1, 1)):
        image = compare.shapes(*size)
        row = compare.difference(found(whole, image), compare.expected(whole, image))
        assert compare.is_equal(row), (size, row)
        assert size == (1, 1) or row['finds'] > 3


@pytest.mark.parametrize(
    ('method', 'words'),
    [
        ('tood/tood_r50_fpn_1x_coco', 'TOODHead has a _predict_by_feat_single that is not known'),
        ('paa/paa_r50_fpn_1x_coco', 'PAAHead has a _predict_by_feat_single that is not known'),
        ('vfnet/vfnet_r50_fpn_1x_coco', 'VFNet has DeformConv2d of mmcv, which engines lack'),
        ('yolox/yolox_s_8xb8-300e_coco', 'YOLOXHead has a predict_by_feat that is not known here'),
        ('htc/htc-without-semantic_r50_fpn_1x_coco', 'HybridTaskCascadeRoIHead has a _bbox_forw'),
        ('point_rend/point-rend_r50-caffe_fpn_ms-1x_coco', 'PointRend has SimpleRoIAlign of mmcv'),
        ('faster_rcnn/faster-rcnn_r50_fpn_soft-nms_1x_coco', 'has nms of type soft_nms'),
    ],
)
def test_others_are_refused(method, words):
    model = build(config_of(f'mmdet::{method}', 'SwinTransformer'))
    with pytest.raises(Refused, match=words):
        whole_model(model)


def test_boxes_are_found_in_one_picture_at_a_time():
    model = build(config_of(f'mmdet::{METHODS[0]}', 'SwinTransformer'))
    with pytest.raises(Refused, match='take one at a time; leave out --batch'):
        whole_model(model, dict(batch=2))


@pytest.mark.parametrize('is_turned', [True, False])
@pytest.mark.parametrize('divisor', [1, 32])
def test_pictures_are_prepared_as_mm_does_it(is_turned, divisor):
    cfg = Config.fromfile(ROOT / 'configs/mask_rcnn_swin_t.py')
    cfg.model.data_preprocessor.update(bgr_to_rgb=is_turned, pad_size_divisor=divisor)
    before = build(cfg).data_preprocessor
    image = compare.shapes(70, 33)
    inputs = [torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)]
    wanted = before(dict(inputs=inputs, data_samples=None))['inputs']
    torch.testing.assert_close(Picture(before)(torch.from_numpy(image)), wanted)


def test_pictures_are_padded_as_the_pipeline_does_it():
    """RTMDet's is to 640 x 640 with grey; larger ones become multiples of 32, where mm fails."""
    cfg = Config.fromfile(ROOT / 'configs/rtmdet_swin_t.py')
    model = build(cfg)
    whole = whole_model(model, cfg=cfg)
    meta = describe(whole, cfg, 'a/rtmdet_swin_t.py')
    assert meta['resize'] == dict(scale=[640, 640], keep_ratio=True, interpolation='bilinear')
    assert (meta['channels'], meta['size_divisor'], meta['config']) == ('rgb', 32, 'rtmdet_swin_t')
    image = compare.shapes(70, 33)
    padded = Pad(size=(640, 640), pad_val=dict(img=(114, 114, 114)))(dict(img=image))['img']
    inputs = [torch.from_numpy(padded[..., ::-1].copy()).permute(2, 0, 1)]
    wanted = model.data_preprocessor(dict(inputs=inputs, data_samples=None))['inputs']
    torch.testing.assert_close(whole.picture(torch.from_numpy(image)), wanted)
    assert whole.picture(torch.zeros(650, 641, 3)).shape == (1, 3, 672, 672)


def test_the_file_says_from_which_number_on_pixels_belong_to_masks():
    cfg = Config.fromfile(ROOT / 'configs/mask_rcnn_swin_t.py')
    cfg.model.test_cfg.rcnn.mask_thr_binary = 0.3
    whole = whole_model(build(cfg), cfg=cfg)
    assert describe(whole, cfg, 'a/mask_rcnn_swin_t.py')['mask_threshold'] == 0.3
    cfg.model.test_cfg.rcnn.mask_thr_binary = -1
    with pytest.raises(Refused, match='masks of grey levels'):
        whole_model(build(cfg), cfg=cfg)


def test_masks_are_pasted_as_mmdet_pastes_them():
    corners = torch.rand(20, 2) * torch.tensor([150.0, 80])
    boxes, masks = (
        torch.cat([corners, corners + 3 + 60 * torch.rand(20, 2)], 1),
        torch.rand(20, 28, 28),
    )
    wanted, _ = _do_paste_mask(masks[:, None], boxes, 123, 211, skip_empty=False)
    pasted = paste(masks, boxes, torch.zeros(123, 211, 3))
    torch.testing.assert_close(pasted, wanted, atol=1e-4, rtol=0)


def test_finds_are_paired():
    """Another order is none; a find that lacks one of its class nearby is missing, or extra."""
    boxes = np.array([[0, 0, 9, 9], [20, 20, 40, 40], [50, 5, 70, 9]], np.float32)
    wanted = dict(boxes=boxes, scores=np.array([0.9, 0.8, 0.3]), labels=np.array([0, 1, 1]))
    other = {name: part[[1, 0, 2]].copy() for name, part in wanted.items()}
    other['boxes'][0] += 0.5
    row = compare.difference(other, wanted)
    assert row == dict(finds=3, missing=0, extra=0, boxes=0.5, scores=0.0)
    assert not compare.is_equal(row)
    other['labels'][0] = 0
    row = compare.difference(other, wanted)
    assert (row['missing'], row['extra'], row['boxes']) == (1, 1, 0)
    assert not compare.is_equal(row)


@pytest.mark.parametrize('kind', [bool, np.float32])
def test_finds_of_one_box_are_paired_by_their_masks(kind):
    scores = np.array([0.5, 0.5 - 1e-6, 0.4])
    masks = np.arange(3)[:, None, None] == np.array([[0, 1, 2]])
    wanted = dict(boxes=np.ones((3, 4), np.float32), scores=scores, labels=np.zeros(3, int))
    wanted['masks'] = masks.astype(kind)
    other = {name: part[[1, 0, 2]].copy() for name, part in wanted.items()}
    other['scores'] = scores  # noise has changed which is the best
    row = compare.difference(other, wanted)
    assert (row['missing'], row['extra'], row['masks']) == (0, 0, 0)
    assert compare.is_equal(row)


@pytest.fixture(scope='module')
def mask_rcnn(tmp_path_factory):
    """A small Mask R-CNN and its file for pictures of any size."""
    folder = tmp_path_factory.mktemp('mask_rcnn')
    torch.manual_seed(0)
    whole = whole_model(sure(build(Config.fromfile(small(folder, 'mask_rcnn', MASK_RCNN)))))
    example, path = torch.from_numpy(compare.shapes(*EXAMPLE)), str(folder / 'net.onnx')
    engines.write_onnx(whole, example, path, True, 20, dict(mmbackbones='{"format": 1}'))
    return whole, path


READERS = [engines.read_onnx, engines.read_openvino]


@needs_exporter
@pytest.mark.parametrize('read', READERS)
def test_files_find_what_mmdet_finds(mask_rcnn, read, monkeypatch):
    whole, path = mask_rcnn
    monkeypatch.setattr(compare, 'SIZES', ((96, 128), (101, 77), (1, 1), (40, 200)))
    rows = list(compare.compare(whole, read(path)))
    assert all(compare.is_equal(row) and row['boxes'] < 1e-2 for _, row, _ in rows), rows
    assert [row['finds'] > 3 for _, row, _ in rows[:2]] == [True] * 2


@needs_exporter
@pytest.mark.parametrize('read', READERS)
def test_files_may_find_nothing(mask_rcnn, read, tmp_path):
    model, changed = onnx.load(mask_rcnn[1]), 0
    constants = [n.attribute[0].t for n in model.graph.node if n.op_type == 'Constant']
    for tensor in [*model.graph.initializer, *constants]:
        value = onnx.numpy_helper.to_array(tensor)
        if value.size == 1 and value.dtype == np.float32 and np.isclose(value, 0.05).all():
            new = onnx.numpy_helper.from_array(np.full_like(value, 2), tensor.name)
            tensor.CopyFrom(new)
            changed += 1
    onnx.save(model, tmp_path / 'none.onnx')
    assert changed == 1
    outputs = read(str(tmp_path / 'none.onnx'))(torch.from_numpy(compare.shapes(64, 96)))
    assert [tuple(output.shape) for output in outputs] == [(0, 4), (0,), (0,), (0, 28, 28)]


@needs_exporter
def test_files_hold_names_and_no_notes(mask_rcnn):
    """Weights are weights, not parts of them, and nothing tells of the machine that wrote it."""
    model = onnx.load(mask_rcnn[1])
    sizes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert sizes.pop('image') == ['height', 'width', 3]
    assert sizes == dict(boxes=['n', 4], scores=['n'], labels=['n'], masks=['n', 28, 28])
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        'mmbackbones': '{"format": 1}'
    }
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
    assert str(ROOT).encode() not in Path(mask_rcnn[1]).read_bytes()
    assert {node.domain for node in model.graph.node} == {''}
    weights = {tensor.name for tensor in model.graph.initializer if np.prod(tensor.dims) > 64}
    moved = [node for node in model.graph.node if node.op_type in engines.OF_WEIGHTS]
    assert not [node.name for node in moved if node.input[0] in weights]


@needs_exporter
def test_the_tool_writes_whole_models(export_tool, tmp_path):
    config = small(tmp_path, 'retinanet', RETINANET, 'start_level=0')
    model = sure(build(Config.fromfile(config)))
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    out = tmp_path / 'net.xml'
    flags = ('--weights', tmp_path / 'weights.pth', '--format', 'openvino', '--out', out)
    code, words = export_tool(config, *flags, '--size', 96, 128)
    assert code == 0, words
    assert 'beside what mm predicts' in ' '.join(words.split())
    assert 'RANDOM' not in words
    file = openvino.Core().read_model(out)
    meta = json.loads(file.get_rt_info(['mmbackbones', 'metadata']).astype(str))
    assert (meta['task'], meta['masks'], meta['size']) == ('detection', 'none', [96, 128])
    assert meta['classes'][0] == 'person'
    assert meta['score_threshold'] == 0.05
    assert [output.get_any_name() for output in file.outputs] == ['boxes', 'scores', 'labels']


@needs_exporter
def test_a_refusal_comes_before_any_work(export_tool):
    config = ROOT / 'configs/mask_rcnn_swin_t.py'
    code, words = export_tool(config, '--batch', 2, '--weights', 'none.pth')
    assert code == 2
    assert 'leave out --batch; --backbone writes the backbone alone' in words
    code, words = export_tool(config, '--format', 'torch-export')
    assert code == 2
    assert '--format torch-export is for --backbone and --raw; take onnx or openvino' in words


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_files_of_all_methods(method, tmp_path):
    check_file(config_of(f'mmdet::{method}', 'SwinTransformer'), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('family', NAMES)
def test_files_of_all_families(family, tmp_path):
    check_file(config_of('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco', family), tmp_path)


def check_file(cfg, folder):
    """A file for any size finds in both engines what mmdet finds."""
    narrow(cfg.model)
    whole, path = whole_model(sure(build(cfg)), cfg=cfg), str(folder / 'net.onnx')
    engines.write_onnx(whole, torch.from_numpy(compare.shapes(*EXAMPLE)), path, True, 20)
    for read in READERS:
        rows = list(compare.compare(whole, read(path)))
        assert all(compare.is_equal(row) and row['boxes'] < 1e-2 for _, row, _ in rows), rows
        assert max(row['finds'] for _, row, _ in rows) > 3
