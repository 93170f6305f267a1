"""Layer-wise decay of learning rates, for fine-tuning."""

from mmengine.optim import DefaultOptimWrapperConstructor

from .backbone import Backbone
from .registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rates of the backbone fall by a factor from layer to layer, towards the image.

    `paramwise_cfg=dict(layer_decay_rate=0.95)`, beside all that mmengine's own constructor knows.
    The name and the key are mmpretrain's; this one serves whole detectors and segmenters.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if rate is None or not 0 < rate <= 1:
            raise ValueError(
                f'paramwise_cfg.layer_decay_rate is {rate}; give a number above 0 up to 1, '
                f'for example 0.95'
            )

    def add_params(self, params, module, prefix='', **kwargs):
        """Add groups as mmengine does, with lower rates for the layers of backbones."""
        if prefix:  # not the whole model
            super().add_params(params, module, prefix=prefix, **kwargs)
            return
        depths = {
            id(parameter): backbone.get_layer_depth(name)
            for backbone in (m for m in module.modules() if isinstance(m, Backbone))
            for name, parameter in backbone.named_parameters()
        }
        scaled = ScaledGroups(self.base_lr, self.paramwise_cfg['layer_decay_rate'], depths)
        super().add_params(scaled, module, **kwargs)
        params.extend(scaled)


class ScaledGroups(list):
    """Parameter groups whose rate is lowered when they are added.

    mmengine logs a group right after it has added it, so that the log has the rates that hold.
    """

    def __init__(self, base_lr, decay_rate, depths):
        super().__init__()
        self.base_lr, self.decay_rate, self.depths = base_lr, decay_rate, depths

    def append(self, group):
        """Add a group; that of a parameter `depth` layers from the image has a lower rate."""
        found = self.depths.get(id(group['params'][0]))
        if found:
            depth, layers = found
            rate = self.decay_rate ** (layers - 1 - depth)
            group['lr'] = group.get('lr', self.base_lr) * rate
        super().append(group)
