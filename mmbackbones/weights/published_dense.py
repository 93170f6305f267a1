"""Detectors and segmenters that others published, with the results that they report.

The only place where results are written by hand: `python tests/write_tables.py` copies them into
the pages, the docstrings of the configs and mim's index. Nothing of it was reproduced here. A row
stands beside the config of its model: one of ours, or one of mmdet or mmseg after
`tools/convert_config.py`, with the options that follow. Where a data set is named, the config must
be made for its classes. Metrics are on COCO val2017 and on ADE20K, where the name says nothing
else.
"""

import re
from pathlib import Path
from typing import NamedTuple

SWIN = 'https://github.com/SwinTransformer/storage/releases/download'
META = 'https://dl.fbaipublicfiles.com/maskformer/mask2former'
DETREX = 'https://github.com/IDEA-Research/detrex-storage/releases/download'
DET, SEG = 'mmdet::mask2former/mask2former_', 'mmseg::mask2former/mask2former_'
MOBY = 'the authors of MoBY, from weights that learned without labels'
M2F = 'the authors of Mask2Former'
M2F_22K = f'{M2F}, from ImageNet-22K'

# What a config needs besides, as --cfg-options take it.
BASE = (
    'model.backbone.arch=base model.backbone.window_size=12 '
    'model.panoptic_head.in_channels=[128,256,512,1024]'
)
LARGE = (
    'model.backbone.arch=large model.backbone.window_size=12 '
    'model.panoptic_head.in_channels=[192,384,768,1536] model.panoptic_head.num_queries=200'
)
AS_DETREX = (
    'model.neck.bias=True model.positional_encoding.temperature=10000 '
    'model.positional_encoding.offset=-0.5'
)

# Whose they are -> config -> (metrics, URL of the file, if there is one). Of several rows for a
# config, the first is its result and its file.
REPORTED: dict[str, dict[str, tuple[dict[str, float], str | None]]] = {
    'the authors of Swin Transformer': {
        'mask_rcnn_swin_t': (
            {'box AP': 43.7, 'mask AP': 39.8},
            f'{SWIN}/v1.0.3/mask_rcnn_swin_tiny_patch4_window7_1x.pth',
        ),
        'mask_rcnn_swin_t_3x': (
            {'box AP': 46.0, 'mask AP': 41.6},
            f'{SWIN}/v1.0.2/mask_rcnn_swin_tiny_patch4_window7.pth',
        ),
        'mask_rcnn_swin_s_3x': (
            {'box AP': 48.5, 'mask AP': 43.3},
            f'{SWIN}/v1.0.2/mask_rcnn_swin_small_patch4_window7.pth',
        ),
        'cascade_mask_rcnn_swin_t': (
            {'box AP': 48.1, 'mask AP': 41.7},
            f'{SWIN}/v1.0.3/cascade_mask_rcnn_swin_tiny_patch4_window7_1x.pth',
        ),
        'cascade_mask_rcnn_swin_t_3x': (
            {'box AP': 50.4, 'mask AP': 43.7},
            f'{SWIN}/v1.0.2/cascade_mask_rcnn_swin_tiny_patch4_window7.pth',
        ),
        'cascade_mask_rcnn_swin_s_3x': (
            {'box AP': 51.9, 'mask AP': 45.0},
            f'{SWIN}/v1.0.2/cascade_mask_rcnn_swin_small_patch4_window7.pth',
        ),
        'cascade_mask_rcnn_swin_b_3x': (
            {'box AP': 51.9, 'mask AP': 45.0},
            f'{SWIN}/v1.0.2/cascade_mask_rcnn_swin_base_patch4_window7.pth',
        ),
        'upernet_swin_t': (
            {'mIoU': 44.51, 'mIoU (ms+flip)': 45.81},
            f'{SWIN}/v1.0.1/upernet_swin_tiny_patch4_window7_512x512.pth',
        ),
        'upernet_swin_s': (
            {'mIoU': 47.64, 'mIoU (ms+flip)': 49.47},
            f'{SWIN}/v1.0.1/upernet_swin_small_patch4_window7_512x512.pth',
        ),
        'upernet_swin_b': (
            {'mIoU': 48.13, 'mIoU (ms+flip)': 49.72},
            f'{SWIN}/v1.0.1/upernet_swin_base_patch4_window7_512x512.pth',
        ),
        'upernet_swin_b_22k': ({'mIoU': 50.04, 'mIoU (ms+flip)': 51.66}, None),
        'upernet_swin_l': ({'mIoU': 52.05, 'mIoU (ms+flip)': 53.53}, None),
    },
    MOBY: {
        'mask_rcnn_swin_t': (
            {'box AP': 43.6, 'mask AP': 39.6},
            f'{SWIN}/v1.0.3/moby_mask_rcnn_swin_tiny_patch4_window7_1x.pth',
        ),
        'mask_rcnn_swin_t_3x': (
            {'box AP': 46.0, 'mask AP': 41.7},
            f'{SWIN}/v1.0.3/moby_mask_rcnn_swin_tiny_patch4_window7_3x.pth',
        ),
        'cascade_mask_rcnn_swin_t': (
            {'box AP': 48.1, 'mask AP': 41.5},
            f'{SWIN}/v1.0.3/moby_cascade_mask_rcnn_swin_tiny_patch4_window7_1x.pth',
        ),
        'cascade_mask_rcnn_swin_t_3x': (
            {'box AP': 50.2, 'mask AP': 43.5},
            f'{SWIN}/v1.0.3/moby_cascade_mask_rcnn_swin_tiny_patch4_window7_3x.pth',
        ),
        'upernet_swin_t': (
            {'mIoU': 44.06, 'mIoU (ms+flip)': 45.58},
            f'{SWIN}/v1.0.3/moby_upernet_swin_tiny_patch4_window7_512x512.pth',
        ),
    },
    'MMDetection': {
        'mmdet::ddq/ddq-detr-4scale_swinl_8xb2-30e_coco.py': (
            {'box AP': 58.7},
            'https://download.openmmlab.com/mmdetection/v3.0/ddq/ddq_detr_swinl_30e.pth',
        ),
        'mmdet::dino/dino-5scale_swin-l_8xb2-12e_coco.py': (
            {'box AP': 57.2},
            'https://download.openmmlab.com/mmdetection/v3.0/dino/dino-5scale_swin-l_8xb2-12e_coco/dino-5scale_swin-l_8xb2-12e_coco_20230228_072924-a654145f.pth',
        ),
        'mmdet::dino/dino-5scale_swin-l_8xb2-36e_coco.py': (
            {'box AP': 58.4},
            'https://github.com/RistoranteRist/mmlab-weights/releases/download/dino-swinl/dino-5scale_swin-l_8xb2-36e_coco-5486e051.pth',
        ),
        'mmdet::dyhead/atss_swin-l-p4-w12_fpn_dyhead_ms-2x_coco.py': (
            {'box AP': 56.2},
            'https://download.openmmlab.com/mmdetection/v2.0/dyhead/atss_swin-l-p4-w12_fpn_dyhead_mstrain_2x_coco/atss_swin-l-p4-w12_fpn_dyhead_mstrain_2x_coco_20220509_100315-bc5b6516.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365.py': (
            {'box AP': 43.0},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_tiny_a_mmdet-b3654169.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_b_fpn_dyhead_pretrain_obj365.py': (
            {'box AP': 44.9},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_tiny_b_mmdet-6dfbd102.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_c_fpn_dyhead_pretrain_obj365-goldg.py': (
            {'box AP': 46.7},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_tiny_c_mmdet-2fc427dd.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_fpn_dyhead_pretrain_obj365-goldg-cc3m-sub.py': (
            {'box AP': 46.4},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_tiny_mmdet-c24ce662.pth',
        ),
        'mmdet::glip/glip_atss_swin-l_fpn_dyhead_pretrain_mixeddata.py': (
            {'box AP': 51.3},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_l_mmdet-abfe026b.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco.py': (
            {'box AP': 53.3},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco_20230914_180419-e6addd96.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_b_fpn_dyhead_16xb2_ms-2x_funtune_coco.py': (
            {'box AP': 54.1},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_atss_swin-t_b_fpn_dyhead_16xb2_ms-2x_funtune_coco/glip_atss_swin-t_b_fpn_dyhead_16xb2_ms-2x_funtune_coco_20230916_163538-650323ba.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_c_fpn_dyhead_16xb2_ms-2x_funtune_coco.py': (
            {'box AP': 55.2},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_atss_swin-t_c_fpn_dyhead_16xb2_ms-2x_funtune_coco/glip_atss_swin-t_c_fpn_dyhead_16xb2_ms-2x_funtune_coco_20230914_182935-4ba3fc3b.pth',
        ),
        'mmdet::glip/glip_atss_swin-t_fpn_dyhead_16xb2_ms-2x_funtune_coco.py': (
            {'box AP': 55.4},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_atss_swin-t_fpn_dyhead_16xb2_ms-2x_funtune_coco/glip_atss_swin-t_fpn_dyhead_16xb2_ms-2x_funtune_coco_20230914_224410-ba97be24.pth',
        ),
        'mmdet::glip/glip_atss_swin-l_fpn_dyhead_16xb2_ms-2x_funtune_coco.py': (
            {'box AP': 59.4},
            'https://download.openmmlab.com/mmdetection/v3.0/glip/glip_atss_swin-l_fpn_dyhead_16xb2_ms-2x_funtune_coco/glip_atss_swin-l_fpn_dyhead_16xb2_ms-2x_funtune_coco_20230910_100800-e9be4274.pth',
        ),
        'mmdet::grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_cap4m.py': (
            {'box AP': 48.5},
            'https://download.openmmlab.com/mmdetection/v3.0/grounding_dino/groundingdino_swint_ogc_mmdet-822d7e9d.pth',
        ),
        'mmdet::grounding_dino/grounding_dino_swin-b_pretrain_mixeddata.py': (
            {'box AP': 56.9},
            'https://download.openmmlab.com/mmdetection/v3.0/grounding_dino/groundingdino_swinb_cogcoor_mmdet-55949c9c.pth',
        ),
        'mmdet::grounding_dino/grounding_dino_swin-t_finetune_16xb2_1x_coco.py': (
            {'box AP': 58.1},
            'https://download.openmmlab.com/mmdetection/v3.0/grounding_dino/grounding_dino_swin-t_finetune_16xb2_1x_coco/grounding_dino_swin-t_finetune_16xb2_1x_coco_20230921_152544-5f234b20.pth',
        ),
        'mmdet::grounding_dino/grounding_dino_swin-b_finetune_16xb2_1x_coco.py': (
            {'box AP': 59.7},
            'https://download.openmmlab.com/mmdetection/v3.0/grounding_dino/grounding_dino_swin-b_finetune_16xb2_1x_coco/grounding_dino_swin-b_finetune_16xb2_1x_coco_20230921_153201-f219e0c0.pth',
        ),
        'mmdet::mask2former/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py': (
            {'box AP': 47.8, 'mask AP': 44.5, 'PQ': 54.5},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic_20220329_225200-4a16ded7.pth',
        ),
        'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py': (
            {'box AP': 46.3, 'mask AP': 43.4, 'PQ': 53.4},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic_20220326_224553-3ec9e0ae.pth',
        ),
        'mmdet::mask2former/mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py': (
            {'box AP': 52.2, 'mask AP': 48.5, 'PQ': 57.6},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic/mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic_20220407_104949-82f8d28d.pth',
        ),
        'mmdet::mask2former/mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic.py': (
            {'box AP': 50.0, 'mask AP': 46.3, 'PQ': 56.3},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic/mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic_20220329_230021-05ec7315.pth',
        ),
        'mmdet::mask2former/mask2former_swin-b-p4-w12-384_8xb2-lsj-50e_coco-panoptic.py': (
            {'box AP': 48.2, 'mask AP': 44.9, 'PQ': 55.1},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-b-p4-w12-384_8xb2-lsj-50e_coco-panoptic/mask2former_swin-b-p4-w12-384_8xb2-lsj-50e_coco-panoptic_20220331_002244-8a651d82.pth',
        ),
        'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py': (
            {'box AP': 47.7, 'mask AP': 44.7},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco_20220508_091649-01b0f990.pth',
        ),
        'mmdet::mask2former/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco.py': (
            {'box AP': 49.3, 'mask AP': 46.1},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco_20220504_001756-c9d0c4f2.pth',
        ),
        'mmdet::mask2former_vis/mask2former_swin-l-p4-w12-384-in21k_8xb2-8e_youtubevis2021.py': (
            {'AP': 52.3},
            'https://download.openmmlab.com/mmdetection/v3.0/mask2former_vis/mask2former_swin-l-p4-w12-384-in21k_8xb2-8e_youtubevis2021/mask2former_swin-l-p4-w12-384-in21k_8xb2-8e_youtubevis2021_20220907_124752-48252603.pth',
        ),
        'mmdet::maskformer/maskformer_swin-l-p4-w12_64xb1-ms-300e_coco.py': (
            {'PQ': 53.2},
            'https://download.openmmlab.com/mmdetection/v3.0/maskformer/maskformer_swin-l-p4-w12_64xb1-ms-300e_coco/maskformer_swin-l-p4-w12_64xb1-ms-300e_coco_20220326_221612-c63ab967.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg.py': (
            {'box AP': 50.4},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg/grounding_dino_swin-t_pretrain_obj365_goldg_20231122_132602-4ea751ce.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_grit9m.py': (
            {'box AP': 50.5},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_grit9m/grounding_dino_swin-t_pretrain_obj365_goldg_grit9m_20231128_200818-169cc352.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_v3det.py': (
            {'box AP': 50.6},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_v3det/grounding_dino_swin-t_pretrain_obj365_goldg_v3det_20231218_095741-e316e297.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_grit9m_v3det.py': (
            {'box AP': 50.4},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_grit9m_v3det/grounding_dino_swin-t_pretrain_obj365_goldg_grit9m_v3det_20231204_095047-b448804b.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-b_pretrain_obj365_goldg_v3det.py': (
            {'box AP': 52.5},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-b_pretrain_obj365_goldg_v3det/grounding_dino_swin-b_pretrain_obj365_goldg_v3de-f83eef00.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-b_pretrain_all.py': (
            {'box AP': 59.5},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-b_pretrain_all/grounding_dino_swin-b_pretrain_all-f9818a7c.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-l_pretrain_obj365_goldg.py': (
            {'box AP': 53.0},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-l_pretrain_obj365_goldg/grounding_dino_swin-l_pretrain_obj365_goldg-34dcdc53.pth',
        ),
        'mmdet::mm_grounding_dino/grounding_dino_swin-l_pretrain_all.py': (
            {'box AP': 60.3},
            'https://download.openmmlab.com/mmdetection/v3.0/mm_grounding_dino/grounding_dino_swin-l_pretrain_all/grounding_dino_swin-l_pretrain_all-56d69e78.pth',
        ),
        'mmdet::rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py': (
            {'box AP': 52.4},
            'https://github.com/orange0-jp/orange-weights/releases/download/v0.1.0rtmdet-swin-convnext/rtmdet_l_swin_b_4xb32-100e_coco-0828ce5d.pth',
        ),
        'mmdet::rtmdet/rtmdet_l_swin_b_p6_4xb16-100e_coco.py': (
            {'box AP': 56.4},
            'https://github.com/orange0-jp/orange-weights/releases/download/v0.1.0rtmdet-swin-convnext/rtmdet_l_swin_b_p6_4xb16-100e_coco-a1486b6f.pth',
        ),
        'mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py': (
            {'box AP': 48.2, 'mask AP': 43.2},
            'https://download.openmmlab.com/mmdetection/v2.0/swin/mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco/mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco_20210903_104808-b92c91f1.pth',
        ),
        'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py': (
            {'box AP': 46.0, 'mask AP': 41.6},
            'https://download.openmmlab.com/mmdetection/v2.0/swin/mask_rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco/mask_rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco_20210906_131725-bacf6f7b.pth',
        ),
        'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py': (
            {'box AP': 42.7, 'mask AP': 39.3},
            'https://download.openmmlab.com/mmdetection/v2.0/swin/mask_rcnn_swin-t-p4-w7_fpn_1x_coco/mask_rcnn_swin-t-p4-w7_fpn_1x_coco_20210902_120937-9d6b7cfa.pth',
        ),
        'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_amp-ms-crop-3x_coco.py': (
            {'box AP': 46.0, 'mask AP': 41.7},
            'https://download.openmmlab.com/mmdetection/v2.0/swin/mask_rcnn_swin-t-p4-w7_fpn_fp16_ms-crop-3x_coco/mask_rcnn_swin-t-p4-w7_fpn_fp16_ms-crop-3x_coco_20210908_165006-90a4008c.pth',
        ),
    },
    'MMSegmentation': {
        'mmseg::knet/knet-s3_swin-t_upernet_8xb2-adamw-80k_ade20k-512x512.py': (
            {'mIoU': 45.84, 'mIoU (ms+flip)': 46.27},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/knet/knet_s3_upernet_swin-t_8x2_512x512_adamw_80k_ade20k/knet_s3_upernet_swin-t_8x2_512x512_adamw_80k_ade20k_20220303_133059-7545e1dc.pth',
        ),
        'mmseg::knet/knet-s3_swin-l_upernet_8xb2-adamw-80k_ade20k-512x512.py': (
            {'mIoU': 52.05, 'mIoU (ms+flip)': 53.24},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/knet/knet_s3_upernet_swin-l_8x2_512x512_adamw_80k_ade20k/knet_s3_upernet_swin-l_8x2_512x512_adamw_80k_ade20k_20220303_154559-d8da9a90.pth',
        ),
        'mmseg::knet/knet-s3_swin-l_upernet_8xb2-adamw-80k_ade20k-640x640.py': (
            {'mIoU': 52.21, 'mIoU (ms+flip)': 53.34},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/knet/knet_s3_upernet_swin-l_8x2_640x640_adamw_80k_ade20k/knet_s3_upernet_swin-l_8x2_640x640_adamw_80k_ade20k_20220301_220747-8787fc71.pth',
        ),
        'mmseg::mask2former/mask2former_swin-t_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 81.71},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-t_8xb2-90k_cityscapes-512x1024/mask2former_swin-t_8xb2-90k_cityscapes-512x1024_20221127_144501-36c59341.pth',
        ),
        'mmseg::mask2former/mask2former_swin-s_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 82.57},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-s_8xb2-90k_cityscapes-512x1024/mask2former_swin-s_8xb2-90k_cityscapes-512x1024_20221127_143802-9ab177f6.pth',
        ),
        'mmseg::mask2former/mask2former_swin-b-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 83.52},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-b-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024/mask2former_swin-b-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024_20221203_045030-9a86a225.pth',
        ),
        'mmseg::mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 83.65},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024/mask2former_swin-l-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024_20221202_141901-28ad20f1.pth',
        ),
        'mmseg::mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 48.66},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512/mask2former_swin-t_8xb2-160k_ade20k-512x512_20221203_234230-7d64e5dd.pth',
        ),
        'mmseg::mask2former/mask2former_swin-s_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 51.24},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-s_8xb2-160k_ade20k-512x512/mask2former_swin-s_8xb2-160k_ade20k-512x512_20221204_143905-e715144e.pth',
        ),
        'mmseg::mask2former/mask2former_swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640.py': (
            {'mIoU': 52.44},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640/mask2former_swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640_20221129_125118-a4a086d2.pth',
        ),
        'mmseg::mask2former/mask2former_swin-b-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py': (
            {'mIoU': 53.9},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-b-in22k-384x384-pre_8xb2-160k_ade20k-640x640/mask2former_swin-b-in22k-384x384-pre_8xb2-160k_ade20k-640x640_20221203_235230-7ec0f569.pth',
        ),
        'mmseg::mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py': (
            {'mIoU': 56.01},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/mask2former_swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640/mask2former_swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640_20221203_235933-7120c214.pth',
        ),
        'mmseg::maskformer/maskformer_swin-t_upernet_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 46.69},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/maskformer/maskformer_swin-t_upernet_8xb2-160k_ade20k-512x512/maskformer_swin-t_upernet_8xb2-160k_ade20k-512x512_20221114_232813-f14e7ce0.pth',
        ),
        'mmseg::maskformer/maskformer_swin-s_upernet_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 49.36},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/maskformer/maskformer_swin-s_upernet_8xb2-160k_ade20k-512x512/maskformer_swin-s_upernet_8xb2-160k_ade20k-512x512_20221115_114710-723512c7.pth',
        ),
        'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 44.41, 'mIoU (ms+flip)': 45.79},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/swin/upernet_swin_tiny_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K/upernet_swin_tiny_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K_20210531_112542-e380ad3e.pth',
        ),
        'mmseg::swin/swin-small-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 47.72, 'mIoU (ms+flip)': 49.24},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/swin/upernet_swin_small_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K/upernet_swin_small_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K_20210526_192015-ee2fff1c.pth',
        ),
        'mmseg::swin/swin-base-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 47.99, 'mIoU (ms+flip)': 49.57},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/swin/upernet_swin_base_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K/upernet_swin_base_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K_20210526_192340-593b0e13.pth',
        ),
        'mmseg::swin/swin-base-patch4-window7-in22k-pre_upernet_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 50.13, 'mIoU (ms+flip)': 51.9},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/swin/upernet_swin_base_patch4_window7_512x512_160k_ade20k_pretrain_224x224_22K/upernet_swin_base_patch4_window7_512x512_160k_ade20k_pretrain_224x224_22K_20210526_211650-762e2178.pth',
        ),
        'mmseg::swin/swin-base-patch4-window12-in1k-384x384-pre_upernet_8xb2-160k_ade20k-512x512.py': (  # noqa: E501
            {'mIoU': 48.35, 'mIoU (ms+flip)': 49.65},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/swin/upernet_swin_base_patch4_window12_512x512_160k_ade20k_pretrain_384x384_1K/upernet_swin_base_patch4_window12_512x512_160k_ade20k_pretrain_384x384_1K_20210531_132020-05b22ea4.pth',
        ),
        'mmseg::swin/swin-base-patch4-window12-in22k-384x384-pre_upernet_8xb2-160k_ade20k-512x512.py': (  # noqa: E501
            {'mIoU': 50.76, 'mIoU (ms+flip)': 52.4},
            'https://mmassets.onedl.ai/mmsegmentation/v0.5/swin/upernet_swin_base_patch4_window12_512x512_160k_ade20k_pretrain_384x384_22K/upernet_swin_base_patch4_window12_512x512_160k_ade20k_pretrain_384x384_22K_20210531_125459-429057bf.pth',
        ),
    },
    M2F: {
        f'{DET}swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py': (
            {'PQ': 53.2, 'mask AP': 43.3, 'mIoU': 63.2},
            f'{META}/coco/panoptic/maskformer2_swin_tiny_bs16_50ep/model_final_9fd0ae.pkl',
        ),
        f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py': (
            {'PQ': 54.6, 'mask AP': 44.7, 'mIoU': 64.2},
            f'{META}/coco/panoptic/maskformer2_swin_small_bs16_50ep/model_final_a407fd.pkl',
        ),
        f'{DET}swin-b-p4-w12-384_8xb2-lsj-50e_coco-panoptic.py': (
            {'PQ': 55.1, 'mask AP': 45.2, 'mIoU': 65.1},
            f'{META}/coco/panoptic/maskformer2_swin_base_384_bs16_50ep/model_final_9d7f02.pkl',
        ),
        f'{DET}swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic.py': (
            {'PQ': 56.4, 'mask AP': 46.3, 'mIoU': 67.1},
            f'{META}/coco/panoptic/maskformer2_swin_base_IN21k_384_bs16_50ep/model_final_54b88a.pkl',
        ),
        f'{DET}swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py': (
            {'PQ': 57.8, 'mask AP': 48.6, 'mIoU': 67.4},
            f'{META}/coco/panoptic/maskformer2_swin_large_IN21k_384_bs16_100ep/model_final_f07440.pkl',
        ),
        f'{DET}swin-t-p4-w7-224_8xb2-lsj-50e_coco.py': (
            {'mask AP': 45.0},
            f'{META}/coco/instance/maskformer2_swin_tiny_bs16_50ep/model_final_86143f.pkl',
        ),
        f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco.py': (
            {'mask AP': 46.3},
            f'{META}/coco/instance/maskformer2_swin_small_bs16_50ep/model_final_1e7f22.pkl',
        ),
        f'mask2former_swin_s with {BASE}': (
            {'mask AP': 46.7},
            f'{META}/coco/instance/maskformer2_swin_base_384_bs16_50ep/model_final_f6e0f6.pkl',
        ),
        f'{DET}swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py for Cityscapes': (
            {'PQ': 63.9, 'mask AP': 39.1, 'mIoU': 80.5},
            f'{META}/cityscapes/panoptic/maskformer2_swin_tiny_bs16_90k/model_final_ceba0f.pkl',
        ),
        f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py for Cityscapes': (
            {'PQ': 64.8, 'mask AP': 40.7, 'mIoU': 81.8},
            f'{META}/cityscapes/panoptic/maskformer2_swin_small_bs16_90k/model_final_23efb7.pkl',
        ),
        f'{DET}swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic.py for Cityscapes': (
            {'PQ': 66.1, 'mask AP': 42.8, 'mIoU': 82.7},
            f'{META}/cityscapes/panoptic/maskformer2_swin_base_IN21k_384_bs16_90k/model_final_fa840f.pkl',
        ),
        f'{DET}swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py for Cityscapes': (
            {'PQ': 66.6, 'mask AP': 43.6, 'mIoU': 82.9},
            f'{META}/cityscapes/panoptic/maskformer2_swin_large_IN21k_384_bs16_90k/model_final_064788.pkl',
        ),
        'mask2former_swin_t for Cityscapes': (
            {'mask AP': 39.7},
            f'{META}/cityscapes/instance/maskformer2_swin_tiny_bs16_90k/model_final_6a63f8.pkl',
        ),
        'mask2former_swin_s for Cityscapes': (
            {'mask AP': 41.8},
            f'{META}/cityscapes/instance/maskformer2_swin_small_bs16_90k/model_final_974824.pkl',
        ),
        f'{SEG}swin-t_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 82.1, 'mIoU (ms+flip)': 83.0},
            f'{META}/cityscapes/semantic/maskformer2_swin_tiny_bs16_90k/model_final_2d58d4.pkl',
        ),
        f'{SEG}swin-s_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 82.6, 'mIoU (ms+flip)': 83.6},
            f'{META}/cityscapes/semantic/maskformer2_swin_small_bs16_90k/model_final_fa26ae.pkl',
        ),
        f'{SEG}swin-b-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 83.3, 'mIoU (ms+flip)': 84.5},
            f'{META}/cityscapes/semantic/maskformer2_swin_base_IN21k_384_bs16_90k/model_final_1c6b65.pkl',
        ),
        f'{SEG}swin-l-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024.py': (
            {'mIoU': 83.3, 'mIoU (ms+flip)': 84.3},
            f'{META}/cityscapes/semantic/maskformer2_swin_large_IN21k_384_bs16_90k/model_final_17c1ee.pkl',
        ),
        f'{DET}swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py for ADE20K': (
            {'PQ': 48.1, 'mask AP': 34.2, 'mIoU': 54.5},
            f'{META}/ade20k/panoptic/maskformer2_swin_large_IN21k_384_bs16_160k/model_final_e0c58e.pkl',
        ),
        f'{SEG}swin-t_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 47.7, 'mIoU (ms+flip)': 49.6},
            f'{META}/ade20k/semantic/maskformer2_swin_tiny_bs16_160k/model_final_5274a6.pkl',
        ),
        f'{SEG}swin-s_8xb2-160k_ade20k-512x512.py': (
            {'mIoU': 51.3, 'mIoU (ms+flip)': 52.4},
            f'{META}/ade20k/semantic/maskformer2_swin_small_bs16_160k/model_final_011c6d.pkl',
        ),
        f'{SEG}swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640.py': (
            {'mIoU': 52.4, 'mIoU (ms+flip)': 53.7},
            f'{META}/ade20k/semantic/maskformer2_swin_base_384_bs16_160k_res640/model_final_503e96.pkl',
        ),
        f'{SEG}swin-b-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py': (
            {'mIoU': 53.9, 'mIoU (ms+flip)': 55.1},
            f'{META}/ade20k/semantic/maskformer2_swin_base_IN21k_384_bs16_160k_res640/model_final_7e47bf.pkl',
        ),
        f'{SEG}swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py': (
            {'mIoU': 56.1, 'mIoU (ms+flip)': 57.3},
            f'{META}/ade20k/semantic/maskformer2_swin_large_IN21k_384_bs16_160k_res640/model_final_6b4a3a.pkl',
        ),
        f'{DET}swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py for Mapillary Vistas': (
            {'PQ': 45.5, 'mIoU': 60.8},
            f'{META}/mapillary_vistas/panoptic/maskformer2_swin_large_IN21k_384_bs16_300k/model_final_132c71.pkl',
        ),
        f'{SEG}swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py for Mapillary Vistas': (
            {'mIoU': 63.2, 'mIoU (ms+flip)': 64.7},
            f'{META}/mapillary_vistas/semantic/maskformer2_swin_large_IN21k_384_bs16_300k/model_final_90ee2d.pkl',
        ),
    },
    M2F_22K: {
        f'mask2former_swin_s with {BASE}': (
            {'mask AP': 48.1},
            f'{META}/coco/instance/maskformer2_swin_base_IN21k_384_bs16_50ep/model_final_83d103.pkl',
        ),
        f'mask2former_swin_s with {LARGE}': (
            {'mask AP': 50.1},
            f'{META}/coco/instance/maskformer2_swin_large_IN21k_384_bs16_100ep/model_final_e5f453.pkl',
        ),
        f'mask2former_swin_s for Cityscapes with {BASE}': (
            {'mask AP': 42.0},
            f'{META}/cityscapes/instance/maskformer2_swin_base_IN21k_384_bs16_90k/model_final_7a3b6d.pkl',
        ),
        f'mask2former_swin_s for Cityscapes with {LARGE}': (
            {'mask AP': 43.7},
            f'{META}/cityscapes/instance/maskformer2_swin_large_IN21k_384_bs16_90k/model_final_dfa862.pkl',
        ),
    },
    'detrex': {
        'dino_4scale_swin_t': (
            {'box AP': 51.3},
            f'{DETREX}/v0.1.1/dino_swin_tiny_224_4scale_12ep.pth',
        ),
        'dino_4scale_swin_s': (
            {'box AP': 53.0},
            f'{DETREX}/v0.1.1/dino_swin_small_224_4scale_12ep.pth',
        ),
    },
    'detrex, from ImageNet-22K': {
        'dino_4scale_swin_t': (
            {'box AP': 52.5},
            f'{DETREX}/v0.1.1/dino_swin_tiny_224_22kto1k_finetune_4scale_12ep.pth',
        ),
        'dino_4scale_swin_s': (
            {'box AP': 54.5},
            f'{DETREX}/v0.4.0/dino_swin_small_22k_4scale_12ep.pth',
        ),
        'dino_4scale_swin_b': (
            {'box AP': 55.8},
            f'{DETREX}/v0.1.1/dino_swin_base_384_4scale_12ep.pth',
        ),
        'dino_4scale_swin_l with model.backbone.window_size=7': (
            {'box AP': 56.9},
            f'{DETREX}/v0.1.1/dino_swin_large_224_4scale_12ep.pth',
        ),
        'dino_4scale_swin_l': (
            {'box AP': 56.9},
            f'{DETREX}/v0.1.1/dino_swin_large_4scale_12ep.pth',
        ),
        'dino_4scale_swin_l_3x': (
            {'box AP': 58.1},
            f'{DETREX}/v0.2.0/dino_swin_large_384_4scale_36ep.pth',
        ),
        f'dino_5scale_swin_l with {AS_DETREX}': (
            {'box AP': 57.5},
            f'{DETREX}/v0.2.1/dino_swin_large_384_5scale_12ep.pth',
        ),
        f'dino_5scale_swin_l_3x with {AS_DETREX}': (
            {'box AP': 58.5},
            f'{DETREX}/v0.2.1/dino_swin_large_384_5scale_36ep.pth',
        ),
    },
    'the authors of Co-DETR': {
        'mmdetection/projects/CO-DETR/configs/codino/co_dino_5scale_swin_l_16xb1_16e_o365tococo.py': (  # noqa: E501
            {'box AP': 64.1},
            'https://download.openmmlab.com/mmdetection/v3.0/codetr/co_dino_5scale_swin_large_16e_o365tococo-614254c9.pth',
        ),
    },
    'the authors of MaxViT': {
        'cascade_mask_rcnn_maxvit_t': ({'box AP': 52.1, 'mask AP': 44.6}, None),
        'cascade_mask_rcnn_maxvit_s': ({'box AP': 53.1, 'mask AP': 45.4}, None),
        'cascade_mask_rcnn_maxvit_b': ({'box AP': 53.4, 'mask AP': 45.7}, None),
    },
    'the authors of DaViT': {
        'mask_rcnn_davit_t': ({'box AP': 45.0, 'mask AP': 41.1}, None),
        'mask_rcnn_davit_s': ({'box AP': 47.7, 'mask AP': 42.9}, None),
        'mask_rcnn_davit_b': ({'box AP': 48.2, 'mask AP': 43.3}, None),
        'mask_rcnn_davit_t_3x': ({'box AP': 47.4, 'mask AP': 42.9}, None),
        'mask_rcnn_davit_s_3x': ({'box AP': 49.5, 'mask AP': 44.3}, None),
        'mask_rcnn_davit_b_3x': ({'box AP': 49.9, 'mask AP': 44.6}, None),
        'retinanet_davit_t': ({'box AP': 44.0}, None),
        'retinanet_davit_s': ({'box AP': 46.0}, None),
        'retinanet_davit_b': ({'box AP': 46.7}, None),
        'retinanet_davit_t_3x': ({'box AP': 46.5}, None),
        'retinanet_davit_s_3x': ({'box AP': 48.2}, None),
        'retinanet_davit_b_3x': ({'box AP': 48.7}, None),
        'upernet_davit_t': ({'mIoU': 46.3}, None),
        'upernet_davit_s': ({'mIoU': 48.8}, None),
        'upernet_davit_b': ({'mIoU': 49.4}, None),
    },
    'the authors of Florence-2': {
        'mask_rcnn_davit_b_florence': ({'box AP': 53.6, 'mask AP': 46.4}, None),
        'mask_rcnn_davit_b_florence_frozen': ({'box AP': 53.3, 'mask AP': 46.1}, None),
        'dino_4scale_davit_b_florence': ({'box AP': 59.2}, None),
        'upernet_davit_b_florence': ({'mIoU': 54.9, 'mIoU (ms+flip)': 55.5}, None),
    },
    'the authors of VOLO': {
        'upernet_volo_d5': ({'mIoU': 54.3}, None),
    },
    'the authors of CONTAINER': {
        'mask_rcnn_container_light': ({'box AP': 45.1, 'mask AP': 41.3}, None),
        'retinanet_container_light': ({'box AP': 43.8}, None),
        'detr_container_light': ({'box AP': 38.9}, None),
    },
}

# At Hugging Face: whose file a repository has a copy of, and the config it stands beside.
COPIES = {
    'facebook/mask2former-swin-tiny-coco-panoptic': (
        M2F,
        f'{DET}swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py',
    ),
    'facebook/mask2former-swin-small-coco-panoptic': (
        M2F,
        f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py',
    ),
    'facebook/mask2former-swin-small-coco-instance': (
        M2F,
        f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco.py',
    ),
    'facebook/mask2former-swin-base-IN21k-coco-instance': (
        M2F_22K,
        f'mask2former_swin_s with {BASE}',
    ),
    'facebook/mask2former-swin-large-coco-instance': (M2F_22K, f'mask2former_swin_s with {LARGE}'),
    'facebook/mask2former-swin-tiny-cityscapes-semantic': (
        M2F,
        f'{SEG}swin-t_8xb2-90k_cityscapes-512x1024.py',
    ),
    'facebook/mask2former-swin-tiny-cityscapes-panoptic': (
        M2F,
        f'{DET}swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py for Cityscapes',
    ),
    'facebook/mask2former-swin-small-cityscapes-semantic': (
        M2F,
        f'{SEG}swin-s_8xb2-90k_cityscapes-512x1024.py',
    ),
    'facebook/mask2former-swin-small-cityscapes-panoptic': (
        M2F,
        f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py for Cityscapes',
    ),
    'facebook/mask2former-swin-base-IN21k-cityscapes-semantic': (
        M2F,
        f'{SEG}swin-b-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024.py',
    ),
    'facebook/mask2former-swin-base-IN21k-cityscapes-panoptic': (
        M2F,
        f'{DET}swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic.py for Cityscapes',
    ),
    'facebook/mask2former-swin-large-cityscapes-semantic': (
        M2F,
        f'{SEG}swin-l-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024.py',
    ),
    'facebook/mask2former-swin-large-cityscapes-panoptic': (
        M2F,
        f'{DET}swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py for Cityscapes',
    ),
    'facebook/mask2former-swin-large-cityscapes-instance': (
        M2F_22K,
        f'mask2former_swin_s for Cityscapes with {LARGE}',
    ),
    'facebook/mask2former-swin-tiny-ade-semantic': (
        M2F,
        f'{SEG}swin-t_8xb2-160k_ade20k-512x512.py',
    ),
    'facebook/mask2former-swin-small-ade-semantic': (
        M2F,
        f'{SEG}swin-s_8xb2-160k_ade20k-512x512.py',
    ),
    'facebook/mask2former-swin-base-ade-semantic': (
        M2F,
        f'{SEG}swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640.py',
    ),
    'facebook/mask2former-swin-base-IN21k-ade-semantic': (
        M2F,
        f'{SEG}swin-b-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py',
    ),
    'facebook/mask2former-swin-large-ade-semantic': (
        M2F,
        f'{SEG}swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py',
    ),
    'facebook/mask2former-swin-large-mapillary-vistas-semantic': (
        M2F,
        f'{SEG}swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py for Mapillary Vistas',
    ),
    'openmmlab/upernet-swin-tiny': (
        'MMSegmentation',
        'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
    ),
    'openmmlab/upernet-swin-small': (
        'MMSegmentation',
        'mmseg::swin/swin-small-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
    ),
    'openmmlab/upernet-swin-base': (
        'MMSegmentation',
        'mmseg::swin/swin-base-patch4-window12-in22k-384x384-pre_upernet_8xb2-160k_ade20k-512x512.py',
    ),
}

DETREX_PAGE = 'https://github.com/IDEA-Research/detrex/tree/main/projects/dino'
M2F_PAGE = 'https://github.com/facebookresearch/Mask2Former/blob/main/MODEL_ZOO.md'

# Where each of them reports the results.
SOURCES = {
    'the authors of Swin Transformer': 'https://github.com/microsoft/Swin-Transformer',
    MOBY: 'https://github.com/SwinTransformer/Transformer-SSL',
    'MMDetection': 'https://github.com/open-mmlab/mmdetection',
    'MMSegmentation': 'https://github.com/open-mmlab/mmsegmentation',
    M2F: M2F_PAGE,
    M2F_22K: M2F_PAGE,
    'detrex': DETREX_PAGE,
    'detrex, from ImageNet-22K': DETREX_PAGE,
    'the authors of Co-DETR': 'https://github.com/Sense-X/Co-DETR',
    'the authors of MaxViT': 'https://arxiv.org/abs/2204.01697',
    'the authors of DaViT': 'https://github.com/dingmyu/davit',
    'the authors of Florence-2': 'https://arxiv.org/abs/2311.06242',
    'the authors of VOLO': 'https://arxiv.org/abs/2106.13112',
    'the authors of CONTAINER': 'https://arxiv.org/abs/2106.01401',
}

# The licence of the files of those who give another than Apache-2.0.
LICENCES = {
    'the authors of Swin Transformer': 'MIT',
    MOBY: 'MIT',
    M2F: 'CC-BY-NC-4.0',
    M2F_22K: 'CC-BY-NC-4.0',
}

# Of ours: the config of mmdet or mmseg that is the same model, so that its file fits.
SAME_MODEL = {
    'mask2former_swin_t': f'{DET}swin-t-p4-w7-224_8xb2-lsj-50e_coco.py',
    'mask2former_swin_s': f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco.py',
    'mask2former_panoptic_swin_t': f'{DET}swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py',
    'mask2former_panoptic_swin_s': f'{DET}swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py',
    'mask2former_panoptic_swin_b': f'{DET}swin-b-p4-w12-384_8xb2-lsj-50e_coco-panoptic.py',
    'mask2former_panoptic_swin_b_22k': (
        f'{DET}swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic.py'
    ),
    'mask2former_panoptic_swin_l': f'{DET}swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py',
    'mask2former_semantic_swin_t': f'{SEG}swin-t_8xb2-160k_ade20k-512x512.py',
    'mask2former_semantic_swin_s': f'{SEG}swin-s_8xb2-160k_ade20k-512x512.py',
    'mask2former_semantic_swin_b': f'{SEG}swin-b-in1k-384x384-pre_8xb2-160k_ade20k-640x640.py',
    'mask2former_semantic_swin_b_22k': (
        f'{SEG}swin-b-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py'
    ),
    'mask2former_semantic_swin_l': f'{SEG}swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640.py',
    'dino_5scale_swin_l': 'mmdet::dino/dino-5scale_swin-l_8xb2-12e_coco.py',
    'dino_5scale_swin_l_3x': 'mmdet::dino/dino-5scale_swin-l_8xb2-36e_coco.py',
    'rtmdet_swin_b': 'mmdet::rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py',
    'rtmdet_swin_b_p6': 'mmdet::rtmdet/rtmdet_l_swin_b_p6_4xb16-100e_coco.py',
}


class Report(NamedTuple):
    """A result of a model: who reports it, {metric: value}, and the URL of the weights, if any."""

    whose: str
    metrics: dict[str, float]
    url: str | None

    @property
    def figures(self):
        """The metrics as text."""
        return ', '.join(f'{name} {value}' for name, value in self.metrics.items())


def find_report(config):
    """The `Report` of what others published for a config, by its name or path, or None."""
    name = config if '::' in config else Path(config).stem
    name = SAME_MODEL.get(name, name)
    found = (Report(whose, *rows[name]) for whose, rows in REPORTED.items() if name in rows)
    return next(found, None)


def published_dense(config):
    """The URL of the weights published for a config, by its name or path, or None."""
    found = find_report(config)
    return found and found.url


def with_published_weights():
    """The names of those of our configs for which there are published weights."""
    names = [name for rows in REPORTED.values() for name, (_, url) in rows.items() if url]
    ours = [name for name in names if not re.search('[:/ ]', name)]
    return [*dict.fromkeys(ours), *SAME_MODEL]
