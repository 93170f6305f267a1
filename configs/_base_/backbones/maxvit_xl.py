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
# So timm has it for those of ImageNet-21K, and those at 384 and 512.
normalization = dict(mean=[127.5] * 3, std=[127.5] * 3)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
