"""VOLO-D1 of its authors, trained on ImageNet-1K."""

channels = [96, 192, 384, 384]
backbone = dict(
    type='mmbackbones.VOLO',
    arch='d1',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/sail-sg/volo/releases/download/volo_1/d1_224_84.2.pth.tar',
    ),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
