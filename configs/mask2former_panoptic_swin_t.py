"""Mask2Former with Swin-T on COCO panoptic, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 46.3, mask AP 43.4, PQ 53.4, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/mask2former_panoptic.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    panoptic_head=dict(in_channels=_base_.channels),
)
