"""Mask R-CNN with DaViT-B, 1x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 48.2, mask AP 43.3, reported by the authors, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['mask_rcnn_davit_t.py']

pretrained = 'https://huggingface.co/timm/davit_base.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
