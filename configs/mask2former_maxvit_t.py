"""Mask2Former with MaxViT-T on COCO instances, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-T.
"""

_base_ = ['_base_/backbones/maxvit_t.py', '_base_/recipes/mask2former_instance.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    panoptic_head=dict(in_channels=_base_.channels),
)
