"""Mask R-CNN with Swin-T on nuclei under the microscope, from random weights.

A set small enough for a CPU: tools/convert_dataset.py makes it, configs/README.md has the results.
Other backbones: BACKBONE=davit_t python tools/train.py configs/mask_rcnn_swin_t_nuclei.py
"""

_base_ = 'mask_rcnn_{{$BACKBONE:swin_t}}.py'

work_dir = 'work_dirs/mask_rcnn_{{$BACKBONE:swin_t}}_nuclei'
classes = ('nucleus',)
data = dict(data_root='data/nuclei/', metainfo=dict(classes=classes))

# The median nucleus is 12 pixels wide: images are doubled, and crops of them seen in all positions.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomResize', scale=(640, 512), ratio_range=(0.5, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(256, 256)),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(640, 512), keep_ratio=True),
    *_base_.test_pipeline[2:],
]

train_dataloader = dict(batch_size=4, dataset=dict(data, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/nuclei/annotations/instances_val2017.json')
test_evaluator = val_evaluator

# With FPN's usual 256 channels the neck and the heads cost twice what the backbone does.
width = 128
model = dict(
    backbone=dict(init_cfg=None, drop_path_rate=0.0),
    neck=dict(out_channels=width),
    rpn_head=dict(in_channels=width, feat_channels=width, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width),
        bbox_head=dict(in_channels=width, fc_out_channels=512, num_classes=len(classes)),
        mask_roi_extractor=dict(out_channels=width),
        mask_head=dict(in_channels=width, conv_out_channels=width, num_classes=len(classes)),
    ),
    # Few regions for many steps: each costs a head.
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=300),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rcnn=dict(max_per_img=300)),
)

train_cfg = dict(max_epochs=6, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=4e-4), clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', begin=0, end=6, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=20))
auto_scale_lr = dict(base_batch_size=4)
