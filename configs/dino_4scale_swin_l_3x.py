"""DINO with Swin-L (ImageNet-22K), 4 scales, 36 epochs.

Recipe: https://github.com/IDEA-Research/detrex
Result: box AP 58.1, reported by detrex, from ImageNet-22K, not reproduced here.
"""

_base_ = 'dino_4scale_swin_l.py'

train_cfg = dict(max_epochs=36)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=36, by_epoch=True, milestones=[30], gamma=0.1),
]
