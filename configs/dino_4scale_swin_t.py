"""DINO with Swin-T, 4 scales, 12 epochs.

Recipe: https://github.com/IDEA-Research/detrex
Result: box AP 51.3, reported by detrex, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/dino_detrex.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels[1:]),
)
