"""VOLO-D2 of its authors, trained on ImageNet-1K."""

channels = [128, 256, 512, 512]
backbone = dict(
    type='mmbackbones.VOLO',
    arch='d2',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/sail-sg/volo/releases/download/volo_1/d2_224_85.2.pth.tar',
    ),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
