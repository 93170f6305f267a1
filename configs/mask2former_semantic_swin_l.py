"""Mask2Former with Swin-L (ImageNet-22K) on ADE20K, crop 640, 160k.

Recipe: https://github.com/open-mmlab/mmsegmentation
Result: mIoU 56.01, reported by MMSegmentation, not reproduced here.
"""

_base_ = ['_base_/backbones/swin_l_384_22k.py', '_base_/recipes/mask2former_semantic_640.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels),
)
