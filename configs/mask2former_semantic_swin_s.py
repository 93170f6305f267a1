"""Mask2Former with Swin-S on ADE20K, crop 512, 160k.

Recipe: https://github.com/open-mmlab/mmsegmentation
Result: mIoU 51.24, reported by MMSegmentation, not reproduced here.
"""

_base_ = '_base_/recipes/mask2former_semantic.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.SwinTransformer',
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
)
