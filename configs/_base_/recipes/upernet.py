"""UPerNet on ADE20K, crop 512, 160k, as Swin's authors train it; the config adds the backbone."""

_base_ = [
    '../models/upernet.py',
    '../datasets/ade20k.py',
    '../schedules/160k.py',
    '../default_runtime_seg.py',
]
