"""The scope `mmbackbones`: its types resolve from mmdet and mmseg configs without an import."""

from mmengine import registry


def child(kind, parent, *locations):
    """A registry of this scope that falls back on mmengine's."""
    return registry.Registry(kind, parent=parent, scope='mmbackbones', locations=[*locations])


MODELS = child('model', registry.MODELS, 'mmbackbones.models')
FUNCTIONS = child('function', registry.FUNCTIONS, 'mmbackbones.sharding')
HOOKS = child('hook', registry.HOOKS, 'mmbackbones.hooks', 'mmbackbones.schedules')
OPTIM_WRAPPER_CONSTRUCTORS = child(
    'optimizer wrapper constructor', registry.OPTIM_WRAPPER_CONSTRUCTORS, 'mmbackbones.optim'
)
STRATEGIES = child('strategy', registry.STRATEGIES, 'mmbackbones.strategy')
