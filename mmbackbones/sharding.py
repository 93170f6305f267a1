"""What FSDP and DeepSpeed need to know: which modules to shard, gather and checkpoint at a time.

Configs name both functions by their scope, see configs/_base_/strategies.
"""

from torch import nn

from .layers import Block
from .models.maxvit import MBConv
from .registry import FUNCTIONS

BLOCK_CLASSES = (Block, MBConv)  # every block of every stage is one of these


@FUNCTIONS.register_module()
def is_block(module: nn.Module) -> bool:
    """Whether a module is a block of a backbone, for `activation_checkpointing.check_fn`."""
    return isinstance(module, BLOCK_CLASSES)


@FUNCTIONS.register_module()
def fsdp_policy(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """Shard block by block, for `model_wrapper.auto_wrap_policy`."""
    return recurse or is_block(module)
