"""Mask2Former on ADE20K, crop 512, 160k, as mmseg trains it; the config adds backbone, channels."""

_base_ = [
    '../models/mask2former_semantic.py',
    '../datasets/ade20k_mask2former.py',
    '../schedules/160k_mask2former.py',
    '../default_runtime_seg.py',
]

# Test images of any size are padded.
model = dict(data_preprocessor=dict(test_cfg=dict(size_divisor=32)))
default_hooks = dict(checkpoint=dict(interval=5000))
