"""RetinaNet with MaxViT-T, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config. The recipe is Swin's, drop path that of the
classifier; the authors published neither with this method.
"""

_base_ = ['_base_/backbones/maxvit_t.py', '_base_/recipes/retinanet_1x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels[1:]),
)
