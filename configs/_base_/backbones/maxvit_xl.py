"""MaxViT-XL of its authors, trained on ImageNet-21K; weights as timm has them."""

channels = [192, 384, 768, 1536]
backbone = dict(
    type='mmbackbones.MaxViT',
    arch='xlarge',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/timm/maxvit_xlarge_tf_224.in21k/resolve/main/model.safetensors',
    ),
)
# timm has it so for all of these weights; the authors' own evaluation at 224 had ImageNet's.
normalization = dict(mean=[127.5] * 3, std=[127.5] * 3)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
