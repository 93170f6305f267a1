"""Swin-L of its authors, trained on ImageNet-22K."""

channels = [192, 384, 768, 1536]
backbone = dict(
    type='mmbackbones.SwinTransformer',
    arch='large',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window7_224_22k.pth',
    ),
)
