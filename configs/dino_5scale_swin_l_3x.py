"""DINO with Swin-L (ImageNet-22K), 5 scales, 36 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 58.4, reported by MMDetection, not reproduced here.
"""

_base_ = 'dino_5scale_swin_l.py'

train_cfg = dict(max_epochs=36)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=36, by_epoch=True, milestones=[27, 33], gamma=0.1),
]
