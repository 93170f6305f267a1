"""DaViT-B as Florence-2 trained it: the image encoder in the file of its authors' base model."""

channels = [128, 256, 512, 1024]
backbone = dict(
    type='mmbackbones.DaViT',
    arch='base_fl',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://huggingface.co/microsoft/Florence-2-base/resolve/main/pytorch_model.bin',
    ),
)
