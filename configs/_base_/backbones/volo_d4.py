"""VOLO-D4 of its authors, trained on ImageNet-1K."""

channels = [192, 384, 768, 768]
backbone = dict(
    type='mmbackbones.VOLO',
    arch='d4',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/sail-sg/volo/releases/download/volo_1/d4_224_85.7.pth.tar',
    ),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
