"""Swin-B of its authors, trained on ImageNet-22K."""

_base_ = 'swin_b.py'

backbone = dict(
    init_cfg=dict(
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224_22k.pth',
    ),
)
