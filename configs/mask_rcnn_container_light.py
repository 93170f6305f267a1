"""Mask R-CNN with CONTAINER-LIGHT, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 45.1, mask AP 41.3, reported by the authors of CONTAINER, not reproduced here.
The authors' dense code is not published, so the recipe is Swin's. Their weights are on a drive
without a direct address: put the file that https://github.com/allenai/container links to there.
"""

_base_ = ['_base_/backbones/container_light.py', '_base_/recipes/mask_rcnn_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels),
)
