"""UPerNet with CONTAINER-LIGHT, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config.
The authors' dense code is not published, so the recipe is Swin's. Their weights are on a drive
without a direct address: put the file that https://github.com/allenai/container links to there.
"""

_base_ = ['_base_/backbones/container_light.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.1),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
