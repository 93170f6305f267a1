"""Swin-B of its authors, trained on ImageNet-1K."""

channels = [128, 256, 512, 1024]
backbone = dict(
    type='mmbackbones.SwinTransformer',
    arch='base',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224.pth',
    ),
)
