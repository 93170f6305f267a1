"""Mask R-CNN with Swin-T, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 43.7, mask AP 39.8, reported by the authors of Swin Transformer, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/mask_rcnn_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels),
)
