"""RTMDet-L with Swin-B (ImageNet-22K), a fifth stage and images of 1280, 100 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 56.4, reported by MMDetection, not reproduced here.
"""

_base_ = [
    '_base_/backbones/swin_b_384_22k.py',
    'mmdet::rtmdet/rtmdet_l_swin_b_p6_4xb16-100e_coco.py',
]

custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmbackbones.SwinTransformer',
        # Swin-B, and a stage that starts at random.
        arch=dict(
            dims=(128, 256, 512, 1024, 2048), depths=(2, 2, 18, 2, 1), heads=(4, 8, 16, 32, 64)
        ),
        window_size=12,
        out_indices=(1, 2, 3, 4),
        drop_path_rate=0.3,
        with_cp=True,
        init_cfg=_base_.backbone.init_cfg,
    ),
)
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP', rule='greater'))
# 4 GPUs x 16 images; mmdet's file has the 16 of other methods here.
auto_scale_lr = dict(base_batch_size=64)
