"""RTMDet-L with Swin-B (ImageNet-22K), 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 52.4, reported by MMDetection, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_b_384_22k.py', '_base_/recipes/rtmdet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3, with_cp=True),
    neck=dict(in_channels=_base_.channels[1:]),
)
