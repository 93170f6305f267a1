"""Mask2Former with Swin-L (ImageNet-22K) on COCO panoptic, 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 52.2, mask AP 48.5, PQ 57.6, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_l_384_22k.py', '_base_/recipes/mask2former_panoptic.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    panoptic_head=dict(num_queries=200, in_channels=_base_.channels),
)

# 16 GPUs x 1 image, twice as long.
train_dataloader = dict(batch_size=1, num_workers=1)
train_cfg = dict(max_iters=737500, dynamic_intervals=[(735001, 737500)])
param_scheduler = dict(end=737500, milestones=[655556, 710184])
