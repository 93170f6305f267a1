"""UPerNet with Swin V2-T, crop 512, 160k.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, AdamW at 4e-5
with layer-wise decay; the authors published no code for it.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/160k.py',
    '_base_/default_runtime_seg.py',
]

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_tiny_patch4_window16_256.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.SwinTransformerV2',
        arch='tiny',
        window_size=16,
        # The last stage of these weights saw maps of 8 x 8 only.
        pretrained_window_size=(16, 16, 16, 8),
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
optim_wrapper = dict(
    constructor='mmbackbones.LearningRateDecayOptimWrapperConstructor',
    optimizer=dict(lr=4e-5, weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=0.95),
)
