"""Mask R-CNN with DaViT-B, 3x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 49.9, mask AP 44.6, reported by the authors of DaViT, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['_base_/backbones/davit_b.py', '_base_/recipes/mask_rcnn_3x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.4),
    neck=dict(in_channels=_base_.channels),
)
# The authors decay every parameter.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
