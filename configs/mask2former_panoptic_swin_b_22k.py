"""Mask2Former with Swin-B (ImageNet-22K) on COCO panoptic, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 50.0, mask AP 46.3, PQ 56.3, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_b_384_22k.py', '_base_/recipes/mask2former_panoptic.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    panoptic_head=dict(in_channels=_base_.channels),
)
