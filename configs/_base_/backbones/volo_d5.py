"""VOLO-D5 of its authors, trained on ImageNet-1K."""

channels = [192, 384, 768, 768]
backbone = dict(
    type='mmbackbones.VOLO',
    arch='d5',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/sail-sg/volo/releases/download/volo_1/d5_224_86.10.pth.tar',
    ),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
