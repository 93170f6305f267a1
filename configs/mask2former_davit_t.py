"""Mask2Former with DaViT-T on COCO instances, 50 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-T.
"""

_base_ = '_base_/recipes/mask2former_instance.py'

pretrained = 'https://huggingface.co/timm/davit_tiny.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.DaViT',
        arch='tiny',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    panoptic_head=dict(in_channels=[96, 192, 384, 768]),
)
