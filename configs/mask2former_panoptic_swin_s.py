"""Mask2Former with Swin-S on COCO panoptic, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 47.8, mask AP 44.5, PQ 54.5, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_s.py', '_base_/recipes/mask2former_panoptic.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    panoptic_head=dict(in_channels=_base_.channels),
)
