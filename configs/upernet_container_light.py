"""UPerNet with CONTAINER-LIGHT, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config.
The authors' dense code is not published, so the recipe is Swin's. Their weights are on a drive
without a direct address: put the file that https://github.com/allenai/container links to there.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/160k.py',
    '_base_/default_runtime_seg.py',
]

pretrained = 'checkpoints/container_light.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.Container',
        arch='light',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[64, 128, 320, 512]),
    auxiliary_head=dict(in_channels=320),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
