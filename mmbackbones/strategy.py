"""mmengine's strategies for its FlexibleRunner, with trainings that can be resumed."""

from typing import Any

import torch
from mmengine import registry
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.utils import clip_grad_norm_

from .registry import STRATEGIES


class CountsEpochs:
    """Saves checkpoints with the true numbers of epochs and iterations.

    FlexibleRunner saves again after an evaluation and then counts an epoch too many, which a
    resumed training would skip.
    """

    def save_checkpoint(self, filename, *, extra_ckpt, **kwargs):
        """Save as mmengine does, with the counts that the log has."""
        meta, begun = extra_ckpt['meta'], extra_ckpt['message_hub']['runtime_info']
        meta['iter'], meta['epoch'] = begun['iter'] + 1, min(meta['epoch'], begun['epoch'] + 1)
        strategy: Any = super()
        strategy.save_checkpoint(filename, extra_ckpt=extra_ckpt, **kwargs)


# mmengine's own; its module is private, its registry is not.
Sharded: Any = registry.STRATEGIES.get('FSDPStrategy')
DeepSpeed: Any = registry.STRATEGIES.get('DeepSpeedStrategy')


@STRATEGIES.register_module()
class FSDPStrategy(CountsEpochs, Sharded):
    """Fully sharded training, with PyTorch's present order of arguments."""

    def build_optim_wrapper(self, optim_wrapper, model=None):
        """Build as mmengine does, but clip gradients by their global norm, not by each shard's."""
        wrapper = super().build_optim_wrapper(optim_wrapper, model)
        if getattr(wrapper, 'clip_func', None) is clip_grad_norm_:
            wrapper.clip_func = lambda params, **how: model.clip_grad_norm_(**how)
        return wrapper

    def load_optim_state_dict(self, state_dict):
        """Shard the optimizer's state of a checkpoint and load it."""
        optimizer = self.optim_wrapper.optimizer
        load = FullyShardedDataParallel.optim_state_dict_to_load
        self.optim_wrapper.load_state_dict(load(self.model, optimizer, state_dict))


@STRATEGIES.register_module()
class DeepSpeedStrategy(CountsEpochs, DeepSpeed):
    """Training by DeepSpeed, whose checkpoints are read with PyTorch's `weights_only`."""

    def load_checkpoint(self, filename, **options):
        """Load as mmengine does."""
        trust_deepspeed()
        return super().load_checkpoint(filename, **options)

    def resume(self, filename, **options):
        """Resume as mmengine does."""
        trust_deepspeed()
        return super().resume(filename, **options)


def trust_deepspeed():
    """Let `torch.load` read what DeepSpeed saves beside tensors; none of it can run code."""
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    settings = (dict, 'mmengine.config.config.ConfigDict')
    parts = [DynamicLossScaler, LossScaler, ZeroStageEnum, fragment_address, settings]
    torch.serialization.add_safe_globals(parts)
