"""ADE20K on 512 x 512 crops of images whose shorter side is half to twice that: Mask2Former's."""

_base_ = ['ade20k.py']

crop_size = (512, 512)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomChoiceResize',
        scales=[512 * part // 10 for part in range(5, 21)],
        resize_type='ResizeShortestEdge',
        max_size=2048,
    ),
    *_base_.train_pipeline[3:],
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
