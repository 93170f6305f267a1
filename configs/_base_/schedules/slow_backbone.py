"""The custom keys of Mask2Former: a tenth of the rate in the backbone, no decay where it harms.

As mmdet and mmseg set them for their Swin, under our names, and for what our other backbones have.
A recipe takes them as `_base_.custom_keys`.
"""

slow = dict(lr_mult=0.1, decay_mult=1.0)
slow_without_decay = dict(lr_mult=0.1, decay_mult=0.0)
without_decay = dict(lr_mult=1.0, decay_mult=0.0)

# Of a backbone with up to 18 blocks in a stage. A bare `norm` would slow the head's norms, too.
block_norms = [
    f'backbone.stages.{stage}.blocks.{block}.{norm}'
    for stage in range(4)
    for block in range(18)
    for norm in ('norm', 'pre_norm')
]
downsample_norms = [f'backbone.stages.{stage}.downsample.norm' for stage in range(4)]
position_biases = ['relative_position_bias_table', 'pos_embed', 'bias.cpb_mlp', 'logit_scale']
undecayed = [
    'backbone.stem.norm',
    'backbone.norm',
    *downsample_norms,
    *block_norms,
    *position_biases,
]
custom_keys = {
    'backbone': slow,
    **dict.fromkeys(undecayed, slow_without_decay),
    'query_embed': without_decay,
    'query_feat': without_decay,
    'level_embed': without_decay,
}
