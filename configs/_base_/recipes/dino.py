"""DINO with 4 scales on COCO, 12 epochs, by mmdet; the config adds `backbone` and channels.

The encoder reads strides 8, 16 and 32 of the backbone, and 64 made from the last.
"""

_base_ = 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'

custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True, out_indices=(1, 2, 3)))
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3, save_best='coco/bbox_mAP', rule='greater'),
)
