"""Swin V2-B of its authors, trained on ImageNet-22K with windows of 12; here they are 16."""

channels = [128, 256, 512, 1024]
backbone = dict(
    type='mmbackbones.SwinTransformerV2',
    arch='base',
    window_size=16,
    pretrained_window_size=(12, 12, 12, 6),  # the last stage saw maps of 6 x 6 only
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_base_patch4_window12_192_22k.pth',
    ),
)
