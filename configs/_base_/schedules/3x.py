"""The 1x schedule stretched to 36 epochs."""

_base_ = ['1x.py']

train_cfg = dict(max_epochs=36)

param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=36, milestones=[27, 33], gamma=0.1),
]
