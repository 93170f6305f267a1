"""Mask2Former with MaxViT-T on COCO instances, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-T.
"""

_base_ = '_base_/recipes/mask2former_instance.py'

pretrained = 'https://huggingface.co/timm/maxvit_tiny_tf_224.in1k/resolve/main/model.safetensors'
model = dict(
    # timm has it so for all of these weights; the authors' own evaluation at 224 had ImageNet's.
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type='mmbackbones.MaxViT',
        arch='tiny',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    panoptic_head=dict(in_channels=[64, 128, 256, 512]),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
