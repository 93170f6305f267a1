"""UPerNet with VOLO-D4, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config. The authors published no dense code: the recipe is
Swin's, the pyramid ViTDet's.
"""

_base_ = ['upernet_volo_d1.py']

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d4_224_85.7.pth.tar'
model = dict(
    backbone=dict(
        arch='d4',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[192, 384, 768, 768]),
    auxiliary_head=dict(in_channels=768),
)
