"""UPerNet with Swin-B (ImageNet-22K), crop 640, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 50.04, 51.66 with ms+flip, reported by the authors, not reproduced here.
They published no config for it: the 512 recipe at 640, with the window that fits their FLOPs.
Result from https://github.com/microsoft/Swin-Transformer
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k_640.py',
    '_base_/schedules/160k.py',
    '_base_/default_runtime_seg.py',
]

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224_22k.pth'
model = dict(
    data_preprocessor=dict(size=(640, 640)),
    backbone=dict(
        type='mmbackbones.SwinTransformer',
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
