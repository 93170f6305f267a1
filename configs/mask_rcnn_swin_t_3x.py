"""Mask R-CNN with Swin-T, 3x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 46.0, mask AP 41.6, reported by the authors, not reproduced here.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/3x.py',
    '_base_/default_runtime.py',
]

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.SwinTransformer',
        arch='tiny',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
