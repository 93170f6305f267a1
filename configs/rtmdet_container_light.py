"""RTMDet-L with CONTAINER-LIGHT, 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-B.
The weights are on a drive without a direct address: put the file that
https://github.com/allenai/container links to there.
"""

_base_ = '_base_/recipes/rtmdet.py'

pretrained = 'checkpoints/container_light.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.Container',
        arch='light',
        out_indices=(1, 2, 3),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[128, 320, 512]),
)
