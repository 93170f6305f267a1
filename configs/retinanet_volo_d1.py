"""RetinaNet with VOLO-D1, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config. The authors published no dense code: the recipe is
Swin's, the pyramid ViTDet's.
"""

_base_ = [
    '_base_/models/retinanet.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/1x.py',
    '_base_/default_runtime.py',
]

pretrained = 'https://github.com/sail-sg/volo/releases/download/volo_1/d1_224_84.2.pth.tar'
model = dict(
    backbone=dict(
        type='mmbackbones.VOLO',
        arch='d1',
        # An output norm that no head reads gets no gradient, which stops DDP.
        out_indices=(1, 2, 3),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 384]),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
