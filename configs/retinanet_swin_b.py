"""RetinaNet with Swin-B (ImageNet-22K), 1x, trained as their Mask R-CNN.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: no published result for this config; the authors trained no RetinaNet.
"""

_base_ = ['retinanet_swin_t.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224_22k.pth'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3, init_cfg=dict(checkpoint=pretrained)),
    neck=dict(in_channels=[256, 512, 1024]),
)
