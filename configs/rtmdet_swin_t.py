"""RTMDet-L with Swin-T, 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-B.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/rtmdet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels[1:]),
)
