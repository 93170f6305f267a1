"""ADE20K on 640 x 640 crops, every image scale grown by the same factor.

A config on top of it also sets `model.data_preprocessor.size` to the crop.
"""

_base_ = ['ade20k.py']

crop_size = (640, 640)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomResize', scale=(2560, 640), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    *_base_.train_pipeline[4:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
    *_base_.test_pipeline[2:],
]

tta_scales = [(2560 * part // 4, 640 * part // 4) for part in range(2, 8)]
tta_resizes = [dict(type='Resize', scale=scale, keep_ratio=True) for scale in tta_scales]
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_pipeline[1].transforms[1:]]),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
