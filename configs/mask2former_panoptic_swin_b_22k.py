"""Mask2Former with Swin-B (ImageNet-22K) on COCO panoptic, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 50.0, mask AP 46.3, PQ 56.3, reported by MMDetection, not reproduced here.
"""

_base_ = '_base_/recipes/mask2former_panoptic.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.SwinTransformer',
        arch='base',
        window_size=12,
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    panoptic_head=dict(in_channels=[128, 256, 512, 1024]),
)
