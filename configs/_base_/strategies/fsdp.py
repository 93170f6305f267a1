"""Fully sharded training: each block's parameters are gathered for its turn, and checkpointed.

Put it last into a config's `_base_`. With --amp, add the dtype as `optim_wrapper.dtype` says.
"""

runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    model_wrapper=dict(auto_wrap_policy='mmbackbones.fsdp_policy'),
    activation_checkpointing=dict(check_fn='mmbackbones.is_block'),
    state_dict_cfg='full',  # checkpoints as without sharding
)
