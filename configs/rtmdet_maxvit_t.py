"""RTMDet-L with MaxViT-T, 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-B.
"""

_base_ = ['_base_/backbones/maxvit_t.py', '_base_/recipes/rtmdet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels[1:]),
)
# 32 images per GPU are batch enough.
sync_bn = None
