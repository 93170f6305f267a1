"""Mask2Former on ADE20K, crop 640, 160k, as mmseg trains it; the config adds backbone, channels."""

_base_ = [
    '../models/mask2former_semantic.py',
    '../datasets/ade20k_mask2former_640.py',
    '../schedules/160k_mask2former.py',
    '../default_runtime_seg.py',
]

model = dict(data_preprocessor=dict(size=(640, 640)))
default_hooks = dict(checkpoint=dict(interval=5000))
