"""RetinaNet with DaViT-B of Florence-2, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config. The recipe is that of Mask R-CNN.
"""

_base_ = ['_base_/backbones/davit_b_florence.py', '_base_/recipes/retinanet_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    neck=dict(in_channels=_base_.channels[1:]),
)
