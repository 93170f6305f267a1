"""MaxViT-T of its authors, trained on ImageNet-1K; weights as timm has them."""

channels = [64, 128, 256, 512]
backbone = dict(
    type='mmbackbones.MaxViT',
    arch='tiny',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/timm/maxvit_tiny_tf_224.in1k/resolve/main/model.safetensors',
    ),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
