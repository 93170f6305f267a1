"""Swin-B of its authors, trained on ImageNet-22K at 384 x 384 with windows of 12."""

channels = [128, 256, 512, 1024]
backbone = dict(
    type='mmbackbones.SwinTransformer',
    arch='base',
    window_size=12,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth',
    ),
)
