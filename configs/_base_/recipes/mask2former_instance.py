"""Mask2Former on COCO instances, 50 epochs, by mmdet; the config adds `backbone` and channels."""

_base_ = [
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    '../schedules/slow_backbone.py',
]

custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True))
default_hooks = dict(checkpoint=dict(save_best='coco/segm_mAP', rule='greater'))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.custom_keys))
