"""Mask R-CNN with Swin-T, 3x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 46.0, mask AP 41.6, reported by the authors of Swin Transformer, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/mask_rcnn_3x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels),
)
