"""RetinaNet with DaViT-S, 3x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 48.2, reported by the authors, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['retinanet_davit_t_3x.py']

pretrained = 'https://huggingface.co/timm/davit_small.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
)
