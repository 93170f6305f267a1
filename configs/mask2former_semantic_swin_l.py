"""Mask2Former with Swin-L (ImageNet-22K) on ADE20K, crop 640, 160k.

Recipe: https://github.com/open-mmlab/mmsegmentation
Result: mIoU 56.01, reported by MMSegmentation, not reproduced here.
"""

_base_ = '_base_/recipes/mask2former_semantic_640.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.SwinTransformer',
        arch='large',
        window_size=12,
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
)
