"""COCO 2017 with boxes and masks in squares of 896 pixels, under large-scale jitter."""

_base_ = ['coco_instance.py']

# The mean, in the order of files: it becomes 0.
square = dict(type='Pad', size=(896, 896), pad_val=dict(img=(103.53, 116.28, 123.675)))
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomResize', scale=(896, 896), ratio_range=(0.1, 2.5), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_type='absolute',
        crop_size=(896, 896),
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    square,
    _base_.train_pipeline[-1],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(896, 896), keep_ratio=True),
    square,
    *_base_.test_pipeline[2:],
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
