"""DINO with Swin V2-T, 4 scales, 12 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is mmdet's for ResNet-50.
"""

_base_ = '_base_/recipes/dino.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_tiny_patch4_window16_256.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.SwinTransformerV2',
        arch='tiny',
        window_size=16,
        # The last stage of these weights saw maps of 8 x 8 only.
        pretrained_window_size=(16, 16, 16, 8),
        out_indices=(1, 2, 3),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 768]),
)
