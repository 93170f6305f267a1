"""Mask R-CNN with MaxViT-S, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config. The recipe is Swin's, drop path that of the
classifier; the authors published neither with this method.
"""

_base_ = ['mask_rcnn_maxvit_t.py']

pretrained = 'https://huggingface.co/timm/maxvit_small_tf_224.in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
