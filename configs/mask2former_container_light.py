"""Mask2Former with CONTAINER-LIGHT on COCO instances, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-T.
The weights are on a drive without a direct address: put the file that
https://github.com/allenai/container links to there.
"""

_base_ = '_base_/recipes/mask2former_instance.py'

pretrained = 'checkpoints/container_light.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.Container',
        arch='light',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    panoptic_head=dict(in_channels=[64, 128, 320, 512]),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
