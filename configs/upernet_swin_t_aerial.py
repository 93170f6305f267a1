"""UPerNet with Swin-T on satellite images of Dubai, from random weights.

A set small enough for a CPU: tools/convert_dataset.py makes it, configs/README.md has the results.
Other backbones: BACKBONE=davit_t python tools/train.py configs/upernet_swin_t_aerial.py
"""

_base_ = 'upernet_{{$BACKBONE:swin_t}}.py'

work_dir = 'work_dirs/upernet_{{$BACKBONE:swin_t}}_aerial'
classes = ('land', 'water', 'building', 'vegetation', 'road')
palette = [(132, 41, 246), (226, 169, 41), (60, 16, 152), (254, 221, 58), (110, 193, 228)]
data = dict(
    type='BaseSegDataset',
    data_root='data/aerial',
    metainfo=dict(classes=classes, palette=palette),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    reduce_zero_label=False,
)

# From above there is no up and down: crops are seen in all positions. Colours tell classes apart,
# so they stay. At 320 pixels a crop shows most of an image, which teaches more than details do.
crop_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(320, 320), ratio_range=(0.8, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data,
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data,
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(init_cfg=None, drop_path_rate=0.0),
    decode_head=dict(channels=128, num_classes=len(classes)),
    auxiliary_head=dict(channels=64, num_classes=len(classes)),
)

train_cfg = dict(max_iters=600, val_interval=200)
optim_wrapper = dict(optimizer=dict(lr=4e-4), clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=600, eta_min=0),
]
default_hooks = dict(checkpoint=dict(interval=200), logger=dict(interval=20))
auto_scale_lr = dict(base_batch_size=4)
