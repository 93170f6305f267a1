"""Cascade Mask R-CNN with Swin-B, 3x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 51.9, mask AP 45.0, reported by the authors of Swin Transformer, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_b.py', '_base_/recipes/cascade_mask_rcnn_3x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    neck=dict(in_channels=_base_.channels),
)
