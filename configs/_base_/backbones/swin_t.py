"""Swin-T of its authors, trained on ImageNet-1K."""

channels = [96, 192, 384, 768]
backbone = dict(
    type='mmbackbones.SwinTransformer',
    arch='tiny',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth',
    ),
)
