"""RetinaNet on COCO, 12 epochs, by the recipe of Mask R-CNN; the config adds the backbone."""

_base_ = [
    '../models/retinanet.py',
    '../datasets/coco_detection.py',
    '../schedules/1x.py',
    '../default_runtime.py',
]
