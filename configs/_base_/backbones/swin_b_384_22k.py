"""Swin-B of its authors, trained on ImageNet-22K at 384 x 384 with windows of 12."""

_base_ = 'swin_b_384.py'

backbone = dict(
    init_cfg=dict(
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth',
    ),
)
