"""Mask R-CNN with DaViT-T, 1x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 45.0, mask AP 41.1, reported by the authors, not reproduced here.
"""

_base_ = [
    '_base_/models/mask_rcnn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/1x.py',
    '_base_/default_runtime.py',
]

pretrained = 'https://huggingface.co/timm/davit_tiny.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        type='mmbackbones.DaViT',
        arch='tiny',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
# The authors decay every parameter.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
