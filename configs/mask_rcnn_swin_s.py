"""Mask R-CNN with Swin-S, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config; the authors trained this size for 3x.
"""

_base_ = ['_base_/backbones/swin_s.py', '_base_/recipes/mask_rcnn_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels),
)
