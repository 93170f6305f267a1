"""RTMDet-L with Swin-B (ImageNet-22K), 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 52.4, reported by MMDetection, not reproduced here.
"""

_base_ = '_base_/recipes/rtmdet.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.SwinTransformer',
        arch='base',
        window_size=12,
        out_indices=(1, 2, 3),
        drop_path_rate=0.3,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[256, 512, 1024]),
)
