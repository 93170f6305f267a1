"""Cascade Mask R-CNN with MaxViT-T at 896 x 896, 200 epochs.

Recipe: https://github.com/tensorflow/models
Result: box AP 52.1, mask AP 44.6, reported by the authors of MaxViT, not reproduced here.
Of the authors' detection code: large-scale jitter, windows of a 32nd of the image, strides 8 to
128, AdamW with cosine decay, averaged weights. Their learning rate of 1e-3 for 256 images is scaled
to 16; of stochastic depth paper and code say different things, so it is that of the classifier.
The box heads are those of our Swin configs; the paper's have 20 M parameters less.
"""

_base_ = ['_base_/backbones/maxvit_t.py', '_base_/recipes/cascade_mask_rcnn_maxvit.py']

model = dict(
    backbone=dict(**_base_.backbone, drop_path_rate=0.2),
    neck=dict(in_channels=_base_.channels[1:]),
)
optim_wrapper = dict(optimizer=dict(lr=6.25e-5))
