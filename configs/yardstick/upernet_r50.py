"""UPerNet with mmdet's ResNet-50, by the recipe of Swin-T: what the others are compared with."""

_base_ = '../_base_/recipes/upernet.py'

model = dict(
    backbone=dict(
        type='mmdet.ResNet',
        depth=50,
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024),
)
