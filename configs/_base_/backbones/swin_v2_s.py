"""Swin V2-S of its authors, trained on ImageNet-1K with windows of 16."""

channels = [96, 192, 384, 768]
backbone = dict(
    type='mmbackbones.SwinTransformerV2',
    arch='small',
    window_size=16,
    pretrained_window_size=(16, 16, 16, 8),  # the last stage saw maps of 8 x 8 only
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_small_patch4_window16_256.pth',
    ),
)
