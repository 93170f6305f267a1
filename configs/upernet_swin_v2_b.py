"""UPerNet with Swin V2-B (ImageNet-22K), crop 512, 160k.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, AdamW at 4e-5
with layer-wise decay; the authors published no code for it.
"""

_base_ = ['_base_/backbones/swin_v2_b.py', '_base_/recipes/upernet_layer_decay.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
