"""Oriented R-CNN on DOTA, 12 epochs, as MMRotate trains it; the config adds `backbone`."""

_base_ = 'mmrotate::oriented_rcnn/oriented-rcnn-le90_r50_fpn_1x_dota.py'

custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True))

# Of MMRotate's own config for Swin; decay leaves the same tensors alone as elsewhere here.
without_decay = ('norm', 'relative_position_bias_table', 'pos_embed', 'cpb_mlp', 'logit_scale')
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={key: dict(decay_mult=0.0) for key in without_decay}),
)
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3, save_best='dota/mAP', rule='greater'),
)
auto_scale_lr = dict(enable=False, base_batch_size=2)
