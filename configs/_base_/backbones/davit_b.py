"""DaViT-B of its authors, trained on ImageNet-1K; weights as timm has them."""

channels = [128, 256, 512, 1024]
backbone = dict(
    type='mmbackbones.DaViT',
    arch='base',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/timm/davit_base.msft_in1k/resolve/main/model.safetensors',
    ),
)
