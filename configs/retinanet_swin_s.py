"""RetinaNet with Swin-S, 1x, trained as their Mask R-CNN.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config; the authors trained no RetinaNet.
"""

_base_ = ['retinanet_swin_t.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.2, init_cfg=dict(checkpoint=pretrained)),
)
