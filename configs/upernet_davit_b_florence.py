"""UPerNet with DaViT-B of Florence-2, crop 512, 40k iterations of 64 images.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 54.9, mIoU (ms+flip) 55.5, reported by the authors of Florence-2, not reproduced here.
From https://arxiv.org/abs/2311.06242, tables 7 to 9. They published no config: the rate is
Swin's for 16 images times 4, drop path is our choice.
"""

_base_ = ['_base_/backbones/davit_b_florence.py', '_base_/recipes/upernet.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.3),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_iters=40000, val_interval=4000)
optim_wrapper = dict(optimizer=dict(lr=2.4e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=40000),
]
