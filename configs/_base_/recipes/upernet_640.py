"""UPerNet on ADE20K, crop 640, 160k, as Swin's authors train it; the config adds the backbone."""

_base_ = [
    '../models/upernet.py',
    '../datasets/ade20k_640.py',
    '../schedules/160k.py',
    '../default_runtime_seg.py',
]

model = dict(data_preprocessor=dict(size=(640, 640)))
