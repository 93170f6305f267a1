"""VOLO-D3 of its authors, trained on ImageNet-1K."""

channels = [128, 256, 512, 512]
backbone = dict(
    type='mmbackbones.VOLO',
    arch='d3',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/sail-sg/volo/releases/download/volo_1/d3_224_85.4.pth.tar',
    ),
)
# The stem has batch norms, and two images are a small batch.
sync_bn = 'torch'
