"""UPerNet with VOLO-D5, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 54.3, reported by the authors, not reproduced here.
The authors did not publish how they trained: the recipe is Swin's, the pyramid ViTDet's.
"""

_base_ = ['upernet_volo_d1.py']

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d5_224_86.10.pth.tar'
model = dict(
    backbone=dict(
        arch='d5',
        drop_path_rate=0.4,
        init_cfg=dict(checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[192, 384, 768, 768]),
    auxiliary_head=dict(in_channels=768),
)
