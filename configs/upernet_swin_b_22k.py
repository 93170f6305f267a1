"""UPerNet with Swin-B (ImageNet-22K), crop 640, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 50.04, mIoU (ms+flip) 51.66, reported by the authors of Swin Transformer, not
reproduced here.
They published no config for it: the 512 recipe at 640, with the window that fits their FLOPs.
"""

_base_ = ['_base_/backbones/swin_b_22k.py', '_base_/recipes/upernet_640.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
