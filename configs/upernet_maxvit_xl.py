"""UPerNet with MaxViT-XL (ImageNet-21K), crop 512, 160k.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation
Result: no published result for this config. The recipe is Swin's, drop path that of the
classifier; the authors published neither with this method.
"""

_base_ = ['upernet_maxvit_t.py']

pretrained = 'https://huggingface.co/timm/maxvit_xlarge_tf_224.in21k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='xlarge',
        drop_path_rate=0.7,
        init_cfg=dict(checkpoint=pretrained),
    ),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
