"""Every backbone takes a step in the detectors and segmenters of mmdet and mmseg, as they ship."""

import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from demo.mode import shrink_model
from families import TINY
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from test_published_models import build, configs

from mmbackbones.registry import MODELS

DETECTORS = [
    'atss/atss_r50_fpn_1x_coco',
    'autoassign/autoassign_r50-caffe_fpn_1x_coco',
    'boxinst/boxinst_r50_fpn_ms-90k_coco',
    'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
    'centernet/centernet-update_r50-caffe_fpn_ms-1x_coco',
    'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
    'conditional_detr/conditional-detr_r50_8xb2-50e_coco',
    'dab_detr/dab-detr_r50_8xb2-50e_coco',
    'ddod/ddod_r50_fpn_1x_coco',
    'ddq/ddq-detr-4scale_r50_8xb2-12e_coco',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
    'detr/detr_r50_8xb2-150e_coco',
    'dino/dino-4scale_r50_8xb2-12e_coco',
    'dyhead/atss_r50_fpn_dyhead_1x_coco',
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'foveabox/fovea_r50_fpn_4xb4-1x_coco',
    'gfl/gfl_r50_fpn_1x_coco',
    'htc/htc-without-semantic_r50_fpn_1x_coco',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco',
    'maskformer/maskformer_r50_ms-16xb1-75e_coco',
    'paa/paa_r50_fpn_1x_coco',
    'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco',
    'queryinst/queryinst_r50_fpn_1x_coco',
    'reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
    'rtmdet/rtmdet_s_8xb32-300e_coco',
    'solov2/solov2_r50_fpn_1x_coco',
    'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco',
    'tood/tood_r50_fpn_1x_coco',
    'vfnet/vfnet_r50_fpn_1x_coco',
    'yolof/yolof_r50-c5_8xb8-1x_coco',
    'yolox/yolox_s_8xb8-300e_coco',
]
SEGMENTERS = [
    'ann/ann_r50-d8_4xb4-160k_ade20k-512x512',
    'apcnet/apcnet_r50-d8_4xb4-160k_ade20k-512x512',
    'ccnet/ccnet_r50-d8_4xb4-160k_ade20k-512x512',
    'danet/danet_r50-d8_4xb4-160k_ade20k-512x512',
    'deeplabv3/deeplabv3_r50-d8_4xb4-160k_ade20k-512x512',
    'deeplabv3plus/deeplabv3plus_r50-d8_4xb4-160k_ade20k-512x512',
    'dmnet/dmnet_r50-d8_4xb4-160k_ade20k-512x512',
    'encnet/encnet_r50-d8_4xb4-160k_ade20k-512x512',
    'fcn/fcn_r50-d8_4xb4-160k_ade20k-512x512',
    'gcnet/gcnet_r50-d8_4xb4-160k_ade20k-512x512',
    'isanet/isanet_r50-d8_4xb4-160k_ade20k-512x512',
    'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512',
    'maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512',
    'nonlocal_net/nonlocal_r50-d8_4xb4-160k_ade20k-512x512',
    'point_rend/pointrend_r50_4xb4-160k_ade20k-512x512',
    'pspnet/pspnet_r50-d8_4xb4-160k_ade20k-512x512',
    'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512',
    'sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512',
    'upernet/upernet_r50_4xb4-160k_ade20k-512x512',
]
NEEDS = dict(boxinst='skimage', paa='sklearn')  # what mm itself cannot do without
SIZE = 128


def whole(name, family):
    """A config's model with a small backbone of a family, its channels where they are read."""
    cfg = Config.fromfile(configs(f'{name}.py'))
    model, old = cfg.model, cfg.model.backbone
    indices = old.get('out_indices', (0, 1, 2, 3))
    if name.startswith('mmdet::') and old.type in ('CSPNeXt', 'CSPDarknet'):
        indices = (1, 2, 3)  # of five stages, theirs
    args = dict(TINY[family], type=f'mmbackbones.{family}', out_indices=tuple(indices))
    channels = list(MODELS.build(args).out_channels)
    model.backbone = args
    model.pop('pretrained', None)
    if 'neck' in model:
        set_neck(model.neck, channels)
    elif 'panoptic_head' in model:
        model.panoptic_head.in_channels = channels
    else:
        for part in ('decode_head', 'auxiliary_head'):
            heads = model.get(part) or []
            for head in heads if isinstance(heads, list) else [heads]:
                set_head(head, channels)
    shrink_model(model, SIZE)
    return cfg


def set_neck(neck, channels):
    """Of a chain of necks the first reads the backbone; some read its last map alone."""
    neck = neck[0] if isinstance(neck, list) else neck
    one = isinstance(neck.in_channels, int)
    neck.in_channels = channels[-1] if one else channels[-len(neck.in_channels) :]


def set_head(head, channels):
    """A head of mmseg reads maps by `in_index`."""
    if isinstance(head.in_channels, int) and head.in_channels >= 512:
        head.in_channels = channels[head.get('in_index', -1)]
    elif not isinstance(head.in_channels, int):
        head.in_channels = [channels[i] for i in head.get('in_index', range(len(channels)))]
    if 'c1_in_channels' in head:
        head.c1_in_channels = channels[0]


def semantic_inputs():
    """Two images with a class for each pixel."""
    samples = [SegDataSample(metainfo=dict(img_shape=(SIZE, SIZE))) for _ in range(2)]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(3, (1, SIZE, SIZE)))
    return dict(inputs=[torch.randint(256, (3, SIZE, SIZE)) for _ in samples], data_samples=samples)


def take_a_step(cfg, batch):
    """The losses are finite, and the first layer of the backbone learns."""
    model = revert_sync_batchnorm(build(cfg)).train()
    model.init_weights()
    weight = next(model.backbone.stem.parameters())
    before = weight.clone()
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        losses = model.train_step(batch, optimizer)
    assert losses
    assert all(value.isfinite().all() for value in losses.values())
    assert not torch.equal(before, weight)


@pytest.mark.slow
@pytest.mark.parametrize('family', TINY)
@pytest.mark.parametrize('name', DETECTORS)
def test_detectors(name, family):
    pytest.importorskip(NEEDS.get(name.split('/')[0], 'mmdet'))
    cfg = whole(f'mmdet::{name}', family)
    steps = cfg.train_pipeline
    size = 384 if name.startswith('ddod') else SIZE  # deformable convolutions at stride 128
    batch = demo_mm_inputs(
        2,
        [(3, size, size)] * 2,
        num_items=[2, 3],
        num_classes=80,
        with_mask=any(step.get('with_mask') for step in steps),
        with_semantic=any(step.get('with_seg') for step in steps),
    )
    for key in 'iter', 'epoch':  # some losses change with time
        MessageHub.get_current_instance().update_info(key, 0)
    take_a_step(cfg, batch)


@pytest.mark.slow
@pytest.mark.parametrize('family', TINY)
@pytest.mark.parametrize('name', SEGMENTERS)
def test_segmenters(name, family):
    take_a_step(whole(f'mmseg::{name}', family), semantic_inputs())
