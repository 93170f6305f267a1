"""DINO with MaxViT-T, 4 scales, 12 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is mmdet's for ResNet-50.
"""

_base_ = '_base_/recipes/dino.py'

pretrained = 'https://huggingface.co/timm/maxvit_tiny_tf_224.in1k/resolve/main/model.safetensors'
model = dict(
    # timm has it so for all of these weights; the authors' own evaluation at 224 had ImageNet's.
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type='mmbackbones.MaxViT',
        arch='tiny',
        out_indices=(1, 2, 3),
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[128, 256, 512]),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
