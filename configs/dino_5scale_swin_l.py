"""DINO with Swin-L (ImageNet-22K), 5 scales, 12 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 57.2, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_l_384_22k.py', '_base_/recipes/dino.py']

model = dict(
    num_feature_levels=5,
    backbone=dict(**_base_.backbone, out_indices=(0, 1, 2, 3), drop_path_rate=0.2, with_cp=True),
    neck=dict(in_channels=_base_.channels, num_outs=5),
    encoder=dict(layer_cfg=dict(self_attn_cfg=dict(num_levels=5))),
    decoder=dict(layer_cfg=dict(cross_attn_cfg=dict(num_levels=5))),
)
