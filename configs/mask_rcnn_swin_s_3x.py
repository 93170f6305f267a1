"""Mask R-CNN with Swin-S, 3x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 48.5, mask AP 43.3, reported by the authors of Swin Transformer, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_s.py', '_base_/recipes/mask_rcnn_3x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels),
)
