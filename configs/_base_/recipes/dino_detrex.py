"""DINO with 4 scales on COCO as detrex builds it, whose weights are published for Swin."""

_base_ = 'dino.py'

model = dict(
    neck=dict(bias=True),
    positional_encoding=dict(temperature=10000, offset=-0.5),
)
