"""UPerNet as in upernet.py, with learning rates that fall from layer to layer, as in Swin V2."""

_base_ = 'upernet.py'

optim_wrapper = dict(
    constructor='mmbackbones.LearningRateDecayOptimWrapperConstructor',
    optimizer=dict(lr=4e-5, weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=0.95),
)
