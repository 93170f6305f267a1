"""RetinaNet with Swin V2-B (ImageNet-22K), 1x.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, the recipe
of Swin; the authors published no code for it.
"""

_base_ = ['retinanet_swin_v2_t.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_base_patch4_window12_192_22k.pth'
model = dict(
    backbone=dict(
        arch='base',
        pretrained_window_size=(12, 12, 12, 6),
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(in_channels=[256, 512, 1024]),
)
