"""Mask R-CNN with DaViT-S, 1x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 47.7, mask AP 42.9, reported by the authors, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['mask_rcnn_davit_t.py']

pretrained = 'https://huggingface.co/timm/davit_small.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint=pretrained),
    ),
)
