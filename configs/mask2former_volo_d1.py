"""Mask2Former with VOLO-D1 on COCO instances, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-T.
"""

_base_ = '_base_/recipes/mask2former_instance.py'

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d1_224_84.2.pth.tar'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.VOLO',
        arch='d1',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    panoptic_head=dict(in_channels=[96, 192, 384, 384]),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
