"""UPerNet with DaViT-B, crop 512, 160k.

Recipe: https://github.com/dingmyu/davit
Result: mIoU 49.4, reported by the authors, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['upernet_davit_t.py']

pretrained = 'https://huggingface.co/timm/davit_base.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
