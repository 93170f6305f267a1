"""Swin-L of its authors, trained on ImageNet-22K at 384 x 384 with windows of 12."""

channels = [192, 384, 768, 1536]
backbone = dict(
    type='mmbackbones.SwinTransformer',
    arch='large',
    window_size=12,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth',
    ),
)
