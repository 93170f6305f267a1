"""Which modules FSDP shards and gathers at a time, and which to checkpoint: the blocks of stages.

Configs name both functions by their scope, see configs/_base_/strategies.
"""

from torch import nn

from .registry import FUNCTIONS


@FUNCTIONS.register_module()
def is_block(module: nn.Module) -> bool:
    """Whether a `Stage` was built with this module, for `activation_checkpointing.check_fn`."""
    # Not getattr: wrappers of FSDP and of checkpointing pass it on to the block inside.
    return 'is_block_of_stage' in vars(module)


@FUNCTIONS.register_module()
def fsdp_policy(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """Shard block by block, for `model_wrapper.auto_wrap_policy`."""
    return recurse or is_block(module)
