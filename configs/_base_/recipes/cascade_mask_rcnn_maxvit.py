"""Cascade Mask R-CNN on COCO at 896 x 896, 200 epochs, as MaxViT's authors train it.

The config adds `backbone`, its channels and the learning rate.
"""

_base_ = [
    '../models/cascade_mask_rcnn.py',
    '../datasets/coco_instance_896.py',
    '../schedules/200e.py',
    '../default_runtime.py',
]

strides = [8, 16, 32, 64, 128]
model = dict(
    # Windows are a 32nd of the image.
    backbone=dict(window_size=28, pretrained_window_size=7, out_indices=(1, 2, 3)),
    neck=dict(add_extra_convs='on_output'),
    # Anchors start at 32 pixels, as with a map of stride 4.
    rpn_head=dict(anchor_generator=dict(scales=[4], strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides[:4]),
        mask_roi_extractor=dict(featmap_strides=strides[:4]),
    ),
)
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=2e-4)]
