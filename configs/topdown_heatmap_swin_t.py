"""Keypoints of people in COCO with Swin-T, top-down by heatmaps, of MMPose.

Recipe: https://github.com/open-mmlab/mmpose; configs/SISTERS.md has the commands.
Other backbones: BACKBONE=davit_t python tools/train.py configs/topdown_heatmap_swin_t.py
"""

_base_ = [
    '_base_/backbones/{{$BACKBONE:swin_t}}.py',
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192.py',
]

work_dir = 'work_dirs/topdown_heatmap_{{$BACKBONE:swin_t}}'
custom_imports = dict(imports=['mmbackbones'], allow_failed_imports=False)
model = dict(
    backbone=dict(_delete_=True, **_base_.backbone, out_indices=(3,), drop_path_rate=0.2),
    head=dict(in_channels=_base_.channels[3]),
)

# Boxes of the ground truth, so that testing needs no detector's file.
val_dataloader = dict(dataset=dict(bbox_file=None))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
