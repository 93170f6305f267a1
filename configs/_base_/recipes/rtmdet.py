"""RTMDet-L on COCO, 100 epochs, as mmdet trains it with Swin; the config adds `backbone`."""

_base_ = 'mmdet::rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py'

custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True, out_indices=(1, 2, 3)))
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP', rule='greater'))
# The learning rate belongs to 4 GPUs x 32 images; mmdet's file has the 16 of other methods here.
auto_scale_lr = dict(base_batch_size=128)
