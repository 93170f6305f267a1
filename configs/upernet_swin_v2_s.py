"""UPerNet with Swin V2-S, crop 512, 160k.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, AdamW at 4e-5
with layer-wise decay; the authors published no code for it.
"""

_base_ = ['upernet_swin_v2_t.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_small_patch4_window16_256.pth'
model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
)
