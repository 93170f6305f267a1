"""UPerNet with DaViT-B, crop 512, 160k.

Recipe: https://github.com/dingmyu/davit
Result: mIoU 49.4, reported by the authors of DaViT, not reproduced here.
The authors published the config of DaViT-T only; drop path is our choice.
"""

_base_ = ['_base_/backbones/davit_b.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels, norm_cfg=dict(type='BN')),
    auxiliary_head=dict(in_channels=_base_.channels[2], norm_cfg=dict(type='BN')),
)
# The authors decay every parameter.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
