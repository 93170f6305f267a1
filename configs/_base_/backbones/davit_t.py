"""DaViT-T of its authors, trained on ImageNet-1K; weights as timm has them."""

channels = [96, 192, 384, 768]
backbone = dict(
    type='mmbackbones.DaViT',
    arch='tiny',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/timm/davit_tiny.msft_in1k/resolve/main/model.safetensors',
    ),
)
