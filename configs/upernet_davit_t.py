"""UPerNet with DaViT-T, crop 512, 160k.

Recipe: https://github.com/dingmyu/davit
Result: mIoU 46.3, reported by the authors, not reproduced here.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/160k.py',
    '_base_/default_runtime_seg.py',
]

pretrained = 'https://huggingface.co/timm/davit_tiny.msft_in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        type='mmbackbones.DaViT',
        arch='tiny',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768], norm_cfg=dict(type='BN')),
    auxiliary_head=dict(in_channels=384, norm_cfg=dict(type='BN')),
)
# The authors decay every parameter.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
