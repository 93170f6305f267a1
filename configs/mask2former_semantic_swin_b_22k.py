"""Mask2Former with Swin-B (ImageNet-22K) on ADE20K, crop 640, 160k.

Recipe: https://github.com/open-mmlab/mmsegmentation
Result: mIoU 53.9, reported by MMSegmentation, not reproduced here.
"""

_base_ = '_base_/recipes/mask2former_semantic_640.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.SwinTransformer',
        arch='base',
        window_size=12,
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
)
