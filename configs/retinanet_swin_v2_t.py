"""RetinaNet with Swin V2-T, 1x.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, the recipe
of Swin; the authors published no code for it.
"""

_base_ = [
    '_base_/models/retinanet.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/1x.py',
    '_base_/default_runtime.py',
]

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_tiny_patch4_window16_256.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.SwinTransformerV2',
        arch='tiny',
        window_size=16,
        # The last stage of these weights saw maps of 8 x 8 only.
        pretrained_window_size=(16, 16, 16, 8),
        # An output norm that no head reads gets no gradient, which stops DDP.
        out_indices=(1, 2, 3),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 768]),
)
