"""DINO with VOLO-D1, 4 scales, 12 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is mmdet's for ResNet-50.
"""

_base_ = '_base_/recipes/dino.py'

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d1_224_84.2.pth.tar'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.VOLO',
        arch='d1',
        out_indices=(1, 2, 3),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 384]),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
