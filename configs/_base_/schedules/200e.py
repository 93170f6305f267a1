"""200 epochs of COCO with cosine decay, as MaxViT's detectors trained; a config adds the rate."""

_base_ = ['adamw.py']

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200, val_interval=5)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        by_epoch=True,
        begin=0,
        end=13,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=13, end=200, convert_to_iter_based=True),
]
