"""COCO 2017 with boxes only, and test-time augmentation over three scales and flips."""

_base_ = ['coco_instance.py']

load_boxes = dict(type='LoadAnnotations', with_bbox=True)
train_pipeline = [_base_.train_pipeline[0], load_boxes, *_base_.train_pipeline[2:]]
test_pipeline = [*_base_.test_pipeline[:2], load_boxes, _base_.test_pipeline[3]]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator

tta_model = dict(
    type='DetTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
tta_scales = [(1333, 800), (666, 400), (2000, 1200)]
tta_meta_keys = (*_base_.test_pipeline[3].meta_keys, 'flip', 'flip_direction')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=scale, keep_ratio=True) for scale in tta_scales],
            [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
            [load_boxes],
            [dict(type='PackDetInputs', meta_keys=tta_meta_keys)],
        ],
    ),
]
