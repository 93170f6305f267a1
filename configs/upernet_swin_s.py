"""UPerNet with Swin-S, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 47.64, mIoU (ms+flip) 49.47, reported by the authors of Swin Transformer, not
reproduced here.
"""

_base_ = ['_base_/backbones/swin_s.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
