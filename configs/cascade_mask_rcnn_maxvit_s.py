"""Cascade Mask R-CNN with MaxViT-S at 896 x 896, 200 epochs.

Recipe: https://github.com/tensorflow/models
Result: box AP 53.1, mask AP 45.4, reported by the authors, not reproduced here.
The authors' learning rate of 3e-3 for 256 images is scaled to 16.
"""

_base_ = ['cascade_mask_rcnn_maxvit_t.py']

pretrained = 'https://huggingface.co/timm/maxvit_small_tf_224.in1k/resolve/main/model.safetensors'
model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(in_channels=[192, 384, 768]),
)
optim_wrapper = dict(optimizer=dict(lr=1.875e-4))
