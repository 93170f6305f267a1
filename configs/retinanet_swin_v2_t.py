"""RetinaNet with Swin V2-T, 1x.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, the recipe
of Swin; the authors published no code for it.
"""

_base_ = ['_base_/backbones/swin_v2_t.py', '_base_/recipes/retinanet_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels[1:]),
)
