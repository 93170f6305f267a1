"""DINO with MaxViT-T, 4 scales, 12 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is mmdet's for ResNet-50.
"""

_base_ = ['_base_/backbones/maxvit_t.py', '_base_/recipes/dino.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels[1:]),
)
