"""Mask R-CNN with DaViT-S, 3x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 49.5, mask AP 44.3, reported by the authors, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['mask_rcnn_davit_t_3x.py']

pretrained = 'https://huggingface.co/timm/davit_small.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
)
