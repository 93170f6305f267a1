"""MaxViT-L of its authors, trained on ImageNet-1K; weights as timm has them."""

channels = [128, 256, 512, 1024]
backbone = dict(
    type='mmbackbones.MaxViT',
    arch='large',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/timm/maxvit_large_tf_224.in1k/resolve/main/model.safetensors',
    ),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
