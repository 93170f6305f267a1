"""UPerNet with VOLO-D1, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config. The authors published no dense code: the recipe is
Swin's, the pyramid ViTDet's.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/160k.py',
    '_base_/default_runtime_seg.py',
]

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d1_224_84.2.pth.tar'
model = dict(
    backbone=dict(
        type='mmbackbones.VOLO',
        arch='d1',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 384]),
    auxiliary_head=dict(in_channels=384),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
