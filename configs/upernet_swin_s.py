"""UPerNet with Swin-S, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 47.64, 49.47 with ms+flip, reported by the authors, not reproduced here.
"""

_base_ = ['upernet_swin_t.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth'
model = dict(
    backbone=dict(arch='small', init_cfg=dict(checkpoint=pretrained)),
)
