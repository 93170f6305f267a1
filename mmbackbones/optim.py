"""Layer-wise learning rates, which fine-tuning of transformers likes."""

from mmengine.optim import DefaultOptimWrapperConstructor

from .backbone import Backbone
from .registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rates of the backbone fall by a factor from layer to layer, towards the image.

    `paramwise_cfg=dict(layer_decay_rate=0.95)`, beside all that mmengine's own constructor knows.
    The name and the key are mmpretrain's; this one serves whole detectors and segmenters.
    """

    def _validate_cfg(self):
        super()._validate_cfg()
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if rate is None or not 0 < rate <= 1:
            raise ValueError(
                f'paramwise_cfg.layer_decay_rate is {rate}; give a number above 0 up to 1, '
                f'for example 0.95'
            )

    def add_params(self, params, module, prefix='', **kwargs):
        """As mmengine's; then scale what belongs to a layer of a backbone."""
        super().add_params(params, module, prefix=prefix, **kwargs)
        if prefix:
            return  # not the whole model
        groups = {id(group['params'][0]): group for group in params}
        for backbone in (m for m in module.modules() if isinstance(m, Backbone)):
            for name, parameter in backbone.named_parameters():
                self.scale(groups.get(id(parameter), {}), *backbone.get_layer_depth(name))

    def scale(self, group, depth, depths):
        """Lower the rate of a parameter group that is `depth` layers from the image."""
        rate = self.paramwise_cfg['layer_decay_rate'] ** (depths - 1 - depth)
        group['lr'] = group.get('lr', self.base_lr) * rate
