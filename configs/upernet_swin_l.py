"""UPerNet with Swin-L (ImageNet-22K), crop 640, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: mIoU 52.05, 53.53 with ms+flip, reported by the authors, not reproduced here.
They published no config for it: the 512 recipe at 640, with the window that fits their FLOPs.
Result from https://github.com/microsoft/Swin-Transformer
"""

_base_ = ['upernet_swin_b_22k.py']

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window7_224_22k.pth'
model = dict(
    backbone=dict(arch='large', init_cfg=dict(checkpoint=pretrained)),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
