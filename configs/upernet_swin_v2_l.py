"""UPerNet with Swin V2-L (ImageNet-22K), crop 512, 160k.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, AdamW at 4e-5
with layer-wise decay; the authors published no code for it.
"""

_base_ = ['upernet_swin_v2_t.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_large_patch4_window12_192_22k.pth'
model = dict(
    backbone=dict(
        arch='large',
        pretrained_window_size=(12, 12, 12, 6),
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
