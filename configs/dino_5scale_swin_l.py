"""DINO with Swin-L (ImageNet-22K), 5 scales, 12 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 57.2, reported by MMDetection, not reproduced here.
"""

_base_ = '_base_/recipes/dino.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth'
model = dict(
    num_feature_levels=5,
    backbone=dict(
        _delete_=True,
        type='mmbackbones.SwinTransformer',
        arch='large',
        window_size=12,
        drop_path_rate=0.2,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 768, 1536], num_outs=5),
    encoder=dict(layer_cfg=dict(self_attn_cfg=dict(num_levels=5))),
    decoder=dict(layer_cfg=dict(cross_attn_cfg=dict(num_levels=5))),
)
