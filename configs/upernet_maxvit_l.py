"""UPerNet with MaxViT-L, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config. The recipe is Swin's, drop path that of the
classifier; the authors published neither with this method.
"""

_base_ = ['_base_/backbones/maxvit_l.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.6),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
