"""RetinaNet with Swin-S, 1x, trained as their Mask R-CNN.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config; the authors trained no RetinaNet.
"""

_base_ = ['_base_/backbones/swin_s.py', '_base_/recipes/retinanet_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels[1:]),
)
