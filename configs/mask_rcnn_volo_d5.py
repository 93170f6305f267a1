"""Mask R-CNN with VOLO-D5, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config. The authors published no dense code: the recipe is
Swin's, the pyramid ViTDet's.
"""

_base_ = ['mask_rcnn_volo_d1.py']

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d5_224_86.10.pth.tar'
model = dict(
    backbone=dict(
        arch='d5',
        drop_path_rate=0.4,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 768, 768]),
)
