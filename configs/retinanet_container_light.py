"""RetinaNet with CONTAINER-LIGHT, 1x.

Recipe: https://github.com/SwinTransformer/Swin-Transformer-Object-Detection
Result: box AP 43.8, reported by the authors, not reproduced here.
The authors' dense code is not published, so the recipe is Swin's. Their weights are on a drive
without a direct address: put the file that https://github.com/allenai/container links to there.
"""

_base_ = [
    '_base_/models/retinanet.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/1x.py',
    '_base_/default_runtime.py',
]

pretrained = 'checkpoints/container_light.pth'
model = dict(
    backbone=dict(
        type='mmbackbones.Container',
        arch='light',
        # An output norm that no head reads gets no gradient, which stops DDP.
        out_indices=(1, 2, 3),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(in_channels=[128, 320, 512]),
)
# The backbone has batch norms, and two images are a small batch.
sync_bn = 'torch'
