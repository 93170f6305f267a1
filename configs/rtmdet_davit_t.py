"""RTMDet-L with DaViT-T, 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: no published result for this config. The recipe is that for Swin-B.
"""

_base_ = '_base_/recipes/rtmdet.py'

pretrained = 'https://huggingface.co/timm/davit_tiny.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.DaViT',
        arch='tiny',
        out_indices=(1, 2, 3),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 768]),
)
