"""DETR with CONTAINER-LIGHT, 150 epochs.

Recipe: https://github.com/open-mmlab/mmdetection
Result: box AP 38.9, reported by the authors of CONTAINER, not reproduced here.
Their schedule is not published.
The weights are on a drive without a direct address: put the file that
https://github.com/allenai/container links to there.
"""

_base_ = [
    '_base_/backbones/container_light.py',
    '_base_/models/detr.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/150e_detr.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(**_base_.backbone, out_indices=(3,), drop_path_rate=0.1),
    neck=dict(in_channels=_base_.channels[3:]),
)
