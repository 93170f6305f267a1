"""Mask2Former on COCO panoptic, 50 epochs, by mmdet; the config adds `backbone` and channels.

mmdet reads and evaluates panoptic annotations with the package panopticapi, of its own:
pip install git+https://github.com/cocodataset/panopticapi.git
"""

_base_ = [
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    '../schedules/slow_backbone.py',
]

custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True))
default_hooks = dict(checkpoint=dict(save_best='coco_panoptic/PQ', rule='greater'))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.custom_keys))
