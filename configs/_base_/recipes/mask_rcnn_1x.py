"""Mask R-CNN on COCO, 12 epochs, as Swin's authors train it; the config adds the backbone."""

_base_ = [
    '../models/mask_rcnn.py',
    '../datasets/coco_instance.py',
    '../schedules/1x.py',
    '../default_runtime.py',
]
