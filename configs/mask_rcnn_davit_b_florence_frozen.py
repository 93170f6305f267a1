"""Mask R-CNN with DaViT-B of Florence-2, its first two stages frozen, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 53.3, mask AP 46.1, reported by the authors of Florence-2, not reproduced here.
"""

_base_ = 'mask_rcnn_davit_b_florence.py'

model = dict(backbone=dict(frozen_stages=2))
