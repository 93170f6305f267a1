"""Mask R-CNN with DaViT-B, 3x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 49.9, mask AP 44.6, reported by the authors, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['mask_rcnn_davit_t_3x.py']

pretrained = 'https://huggingface.co/timm/davit_base.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.4,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
