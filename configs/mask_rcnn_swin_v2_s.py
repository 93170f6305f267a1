"""Mask R-CNN with Swin V2-S, 1x.

Recipe: https://github.com/microsoft/Swin-Transformer
Result: no published result for this config. As the ablation of the paper: window 16, the recipe
of Swin; the authors published no code for it.
"""

_base_ = ['mask_rcnn_swin_v2_t.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_small_patch4_window16_256.pth'
model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint=pretrained),
    ),
)
