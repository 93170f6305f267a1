"""AdamW as every recipe here uses it; a schedule adds the rate, the decay and the length."""

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Decay pulls towards zero, which means nothing for a norm's scale, a layer scale (`gamma`) or a
# position bias.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', betas=(0.9, 0.999)),
    paramwise_cfg=dict(
        custom_keys={
            'norm': dict(decay_mult=0.0),
            'gamma': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
            'pos_embed': dict(decay_mult=0.0),
            'cpb_mlp': dict(decay_mult=0.0),
            'logit_scale': dict(decay_mult=0.0),
        }
    ),
)

# The learning rates belong to 8 GPUs x 2 images; `--auto-scale-lr` adapts them to other totals.
auto_scale_lr = dict(enable=False, base_batch_size=16)
