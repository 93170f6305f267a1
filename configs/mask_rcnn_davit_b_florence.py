"""Mask R-CNN with DaViT-B of Florence-2, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 53.6, mask AP 46.4, reported by the authors of Florence-2, not reproduced here.
From https://arxiv.org/abs/2311.06242, tables 7 to 9. They published no config: the augmentation is
Swin's, drop path is our choice.
"""

_base_ = ['_base_/backbones/davit_b_florence.py', '_base_/recipes/mask_rcnn_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    neck=dict(in_channels=_base_.channels),
)
