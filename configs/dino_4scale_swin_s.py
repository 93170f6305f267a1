"""DINO with Swin-S, 4 scales, 12 epochs.

Recipe: https://github.com/IDEA-Research/detrex
Result: box AP 53.0, reported by detrex, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_s.py', '_base_/recipes/dino_detrex.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels[1:]),
)
