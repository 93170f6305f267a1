"""UPerNet with VOLO-D2, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config. The authors published no dense code: the recipe is
Swin's, the pyramid ViTDet's.
"""

_base_ = ['upernet_volo_d1.py']

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d2_224_85.2.pth.tar'
model = dict(
    backbone=dict(
        arch='d2',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 512]),
    auxiliary_head=dict(in_channels=512),
)
