"""CONTAINER-LIGHT of its authors, trained on ImageNet-1K.

The weights are on a drive without a direct address: put the file that
https://github.com/allenai/container links to there.
"""

channels = [64, 128, 320, 512]
backbone = dict(
    type='mmbackbones.Container',
    arch='light',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='checkpoints/container_light.pth',
    ),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
