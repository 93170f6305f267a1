"""DaViT-S of its authors, trained on ImageNet-1K; weights as timm has them."""

channels = [96, 192, 384, 768]
backbone = dict(
    type='mmbackbones.DaViT',
    arch='small',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/timm/davit_small.msft_in1k/resolve/main/model.safetensors',
    ),
)
