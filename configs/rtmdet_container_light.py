"""RTMDet-L with CONTAINER-LIGHT, 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-B.
The weights are on a drive without a direct address: put the file that
https://github.com/allenai/container links to there.
"""

_base_ = ['_base_/backbones/container_light.py', '_base_/recipes/rtmdet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels[1:]),
)
# 32 images per GPU are batch enough.
sync_bn = None
