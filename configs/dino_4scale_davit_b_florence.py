"""DINO with DaViT-B of Florence-2, 4 scales, 12 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 59.2, reported by the authors of Florence-2, not reproduced here.
From https://arxiv.org/abs/2311.06242, tables 7 to 9. They published no config: the recipe is
mmdet's for ResNet-50, drop path is our choice.
"""

_base_ = ['_base_/backbones/davit_b_florence.py', '_base_/recipes/dino.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels[1:]),
)
