"""Cascade Mask R-CNN with MaxViT-S at 896 x 896, 200 epochs.

Recipe: https://github.com/tensorflow/models
Result: box AP 53.1, mask AP 45.4, reported by the authors of MaxViT, not reproduced here.
The authors' learning rate of 3e-3 for 256 images is scaled to 16.
"""

_base_ = ['_base_/backbones/maxvit_s.py', '_base_/recipes/cascade_mask_rcnn_maxvit.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    neck=dict(in_channels=_base_.channels[1:]),
)
optim_wrapper = dict(optimizer=dict(lr=1.875e-4))
