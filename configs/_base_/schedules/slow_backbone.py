"""The custom keys of Mask2Former: a tenth of the rate in the backbone, no decay where it harms.

As mmdet and mmseg set them for their Swin, under our names, and for what our other backbones have.
A recipe takes them as `_base_.custom_keys`.
"""

slow = dict(lr_mult=0.1, decay_mult=1.0)
slow_without_decay = dict(lr_mult=0.1, decay_mult=0.0)
without_decay = dict(lr_mult=1.0, decay_mult=0.0)

# The longest key that a name contains counts, so each must be longer than `backbone`, and a bare
# `norm` would slow the norms of the head, too. The deepest stage of any size has 42 blocks.
undecayed = [
    'backbone.stem.norm',
    'backbone.norm',
    'downsample.norm',
    *[f'blocks.{block}.{name}' for block in range(64) for name in ('norm', 'gamma')],
    '.pre_norm',
    'relative_position_bias_table',
    'pos_embed',
    'bias.cpb_mlp',
    'logit_scale',
]
custom_keys = {
    'backbone': slow,
    **dict.fromkeys(undecayed, slow_without_decay),
    'query_embed': without_decay,
    'query_feat': without_decay,
    'level_embed': without_decay,
}
