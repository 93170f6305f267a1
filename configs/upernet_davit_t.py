"""UPerNet with DaViT-T, crop 512, 160k.

Recipe: https://github.com/dingmyu/davit
Result: mIoU 46.3, reported by the authors of DaViT, not reproduced here.
"""

_base_ = ['_base_/backbones/davit_t.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels, norm_cfg=dict(type='BN')),
    auxiliary_head=dict(in_channels=_base_.channels[2], norm_cfg=dict(type='BN')),
)
# The authors decay every parameter.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
