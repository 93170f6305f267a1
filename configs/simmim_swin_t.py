"""Pretrain Swin-T on one's own images without labels, by SimMIM of MMPreTrain.

Recipe: https://github.com/microsoft/SimMIM with fewer images; configs/SISTERS.md has the commands.
Other backbones: BACKBONE=davit_t python tools/train.py configs/simmim_swin_t.py
"""

_base_ = [
    '_base_/backbones/{{$BACKBONE:swin_t}}.py',
    '_base_/schedules/adamw.py',
    'mmpretrain::_base_/default_runtime.py',
]

work_dir = 'work_dirs/simmim_{{$BACKBONE:swin_t}}'
custom_imports = dict(
    imports=['mmbackbones', 'mmbackbones.adapters.mmpretrain'], allow_failed_imports=False
)

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root='data/images',  # with all folders below
        with_label=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=192, crop_ratio_range=(0.67, 1.0)),
            dict(type='RandomFlip', prob=0.5),
            dict(
                type='SimMIMMaskGenerator',
                input_size=192,
                mask_patch_size=32,
                model_patch_size=4,
                mask_ratio=0.6,
            ),
            dict(type='PackInputs'),
        ],
    ),
)

# The weights that training begins with are ImageNet's; init_cfg=None begins with random ones.
model = dict(
    type='StemMaskedSimMIM',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(**_base_.backbone, out_indices=(3,), drop_path_rate=0.0),
    neck=dict(type='SimMIMLinearDecoder', in_channels=_base_.channels[3], encoder_stride=32),
    head=dict(
        type='SimMIMHead',
        patch_size=4,
        loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3),
    ),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
val_cfg = None
test_cfg = None
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05), clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10, end=100, eta_min=1e-6, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=10, max_keep_ckpts=2), logger=dict(interval=20))
auto_scale_lr = dict(base_batch_size=64)
