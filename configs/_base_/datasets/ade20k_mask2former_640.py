"""ADE20K on 640 x 640 crops of images whose shorter side is half to twice that: Mask2Former's.

A config on top of it also sets `model.data_preprocessor.size` to the crop.
"""

_base_ = ['ade20k_640.py']

crop_size = (640, 640)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomChoiceResize',
        scales=[640 * part // 10 for part in range(5, 21)],
        resize_type='ResizeShortestEdge',
        max_size=2560,
    ),
    *_base_.train_pipeline[3:],
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
