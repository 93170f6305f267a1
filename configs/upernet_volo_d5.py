"""UPerNet with VOLO-D5, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 54.3, reported by the authors of VOLO, not reproduced here.
The authors did not publish how they trained: the recipe is Swin's, the pyramid ViTDet's.
"""

_base_ = ['_base_/backbones/volo_d5.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.4),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
