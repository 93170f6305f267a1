"""UPerNet with Swin-T, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 44.51, mIoU (ms+flip) 45.81, reported by the authors of Swin Transformer, not
reproduced here.
"""

_base_ = ['_base_/backbones/swin_t.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
