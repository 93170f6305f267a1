"""UPerNet with MaxViT-L, crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config. The recipe is Swin's, drop path that of the
classifier; the authors published neither with this method.
"""

_base_ = ['upernet_maxvit_t.py']

pretrained = 'https://huggingface.co/timm/maxvit_large_tf_224.in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.6,
        init_cfg=dict(checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
