"""RetinaNet with DaViT-T, 3x.

Recipe: https://github.com/dingmyu/davit
Result: box AP 46.5, reported by the authors of DaViT, not reproduced here.
"""

_base_ = ['_base_/backbones/davit_t.py', '_base_/recipes/retinanet_3x.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels[1:]),
)
# The authors decay every parameter.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
