"""Oriented R-CNN with Swin-T on aerial images in DOTA's format, 1x, of MMRotate.

Recipe: https://github.com/open-mmlab/mmrotate; configs/SISTERS.md has the commands.
Result: no published result for this config.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/oriented_rcnn.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels),
)
