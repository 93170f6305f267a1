"""Cascade Mask R-CNN with Swin-S, 3x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 51.9, mask AP 45.0, reported by the authors, not reproduced here.
"""

_base_ = ['cascade_mask_rcnn_swin_t_3x.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=pretrained)),
)
