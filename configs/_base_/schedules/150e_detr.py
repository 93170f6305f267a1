"""150 epochs of COCO as mmdet trains DETR, the backbone at a tenth of the rate."""

_base_ = ['adamw.py']

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=150, val_interval=1)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1, norm_type=2),
    paramwise_cfg=dict(_delete_=True, custom_keys={'backbone': dict(lr_mult=0.1, decay_mult=1.0)}),
)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=150, milestones=[100], gamma=0.1),
]
