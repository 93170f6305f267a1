"""Classify one's own images, a folder for each class, with Swin-T and MMPreTrain.

Recipe: fine-tuning of weights for ImageNet, 30 epochs; configs/SISTERS.md has the commands.
Other backbones: BACKBONE=davit_t python tools/train.py configs/classifier_swin_t.py
"""

_base_ = [
    '_base_/backbones/{{$BACKBONE:swin_t}}.py',
    '_base_/schedules/adamw.py',
    'mmpretrain::_base_/default_runtime.py',
]

work_dir = 'work_dirs/classifier_{{$BACKBONE:swin_t}}'
custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)

# The names of the classes are those of the folders in data/images/train.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
data = dict(type='CustomDataset', data_root='data/images')
loader = dict(num_workers=4, persistent_workers=True)

train_dataloader = dict(
    loader,
    batch_size=32,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data, data_prefix='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    loader,
    batch_size=32,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data, data_prefix='val', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=1)
test_evaluator = val_evaluator

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
model = dict(
    type='ImageClassifier',
    backbone=dict(**_base_.backbone, out_indices=(3,), drop_path_rate=0.1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=2,  # the number of folders
        in_channels=_base_.channels[3],
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05), clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=3, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=3, end=30, eta_min=1e-6, convert_to_iter_based=True),
]
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2, save_best='accuracy/top1', rule='greater'),
    logger=dict(interval=20),
)
auto_scale_lr = dict(base_batch_size=32)
