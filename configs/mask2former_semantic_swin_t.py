"""Mask2Former with Swin-T on ADE20K, crop 512, 160k.

Recipe: https://github.com/open-mmlab/mmsegmentation
Result: mIoU 48.66, reported by MMSegmentation, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/mask2former_semantic.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels),
)
