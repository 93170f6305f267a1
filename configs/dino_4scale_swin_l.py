"""DINO with Swin-L (ImageNet-22K), 4 scales, 12 epochs.

Recipe: https://github.com/IDEA-Research/detrex
Result: box AP 56.9, reported by detrex, from ImageNet-22K, not reproduced here.
Theirs begins with weights that were fine-tuned on ImageNet-1K besides.
"""

_base_ = ['_base_/backbones/swin_l_384_22k.py', '_base_/recipes/dino_detrex.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2, with_cp=True),
    neck=dict(in_channels=_base_.channels[1:]),
)
