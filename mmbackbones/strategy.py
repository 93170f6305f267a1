"""A strategy of mmengine's FlexibleRunner, for PyTorch as it is today."""

from mmengine._strategy import FSDPStrategy as Base
from torch.distributed.fsdp import FullyShardedDataParallel

from .registry import STRATEGIES


@STRATEGIES.register_module()
class FSDPStrategy(Base):
    """mmengine's, which cannot resume: PyTorch has since given the arguments another order."""

    def load_optim_state_dict(self, state_dict):
        """Shard the optimizer's state of a checkpoint and load it."""
        optimizer = self.optim_wrapper.optimizer
        load = FullyShardedDataParallel.optim_state_dict_to_load
        self.optim_wrapper.load_state_dict(load(self.model, optimizer, state_dict))
