"""What `tools/train.py --strategy fsdp` adds to a config: fully sharded training.

A block's parameters are gathered for its turn alone, and its activations checkpointed.
"""

runner_type = 'FlexibleRunner'
strategy = dict(
    type='mmbackbones.FSDPStrategy',
    model_wrapper=dict(auto_wrap_policy='mmbackbones.fsdp_policy'),
    activation_checkpointing=dict(check_fn='mmbackbones.is_block'),
    state_dict_cfg='full',  # checkpoints as without sharding
)
