"""Mask2Former with Swin-S on COCO instances, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 49.3, mask AP 46.1, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_s.py', '_base_/recipes/mask2former_instance.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    panoptic_head=dict(in_channels=_base_.channels),
)
