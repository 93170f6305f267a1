"""Mask R-CNN with Swin-B (ImageNet-22K), 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config; drop path as in their Cascade Swin-B.
"""

_base_ = ['_base_/backbones/swin_b_22k.py', '_base_/recipes/mask_rcnn_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    neck=dict(in_channels=_base_.channels),
)
