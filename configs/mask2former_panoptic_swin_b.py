"""Mask2Former with Swin-B on COCO panoptic, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 48.2, mask AP 44.9, PQ 55.1, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_b_384.py', '_base_/recipes/mask2former_panoptic.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    panoptic_head=dict(in_channels=_base_.channels),
)
