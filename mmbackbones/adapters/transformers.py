"""The backbones of this package for `AutoBackbone` and as the `backbone_config` of its models."""

from ..backbone import one_of
from ..registry import MODELS
from .stages import stage_outputs

try:
    from transformers import AutoBackbone, AutoConfig, PretrainedConfig, PreTrainedModel
    from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
    from transformers.initialization import copy_
    from transformers.modeling_outputs import BackboneOutput
except ImportError as error:
    raise ImportError(
        f'mmbackbones.adapters.transformers needs transformers, which cannot be imported ({error}):'
        f' pip install "transformers>=5.2"'
    ) from error


class MMBackbonesConfig(BackboneConfigMixin, PretrainedConfig):
    """Which backbone, and which of its stages, 'stage1' the first; without a choice the last.

    Args:
        backbone: A class of this package.
        arch: Its size, or a dict of its numbers.
        num_channels: Channels of the images.
        arguments: Others of the class, such as `dict(window_size=12, drop_path_rate=0.2)`.
        out_features: Names of the stages to return.
        out_indices: The same as numbers, from 0.
        others: What every config of transformers takes.
    """

    model_type = 'mmbackbones'

    def __init__(
        self,
        backbone='SwinTransformer',
        arch='tiny',
        num_channels=3,
        arguments=None,
        out_features=None,
        out_indices=None,
        **others,
    ):
        super().__init__(**others)
        self.backbone = one_of(backbone, 'backbone', MODELS.module_dict)
        self.arch = arch
        self.num_channels = num_channels
        self.arguments = arguments or {}
        outputs = stage_outputs(MODELS.get(backbone), self.net_arguments())
        self.hidden_sizes = [channels for channels, _ in outputs]
        self.stage_names = [f'stage{i}' for i, _ in enumerate(outputs, 1)]
        self.set_output_features_output_indices(out_features, out_indices)

    def net_arguments(self):
        """The arguments of the class, but for the stages to return."""
        return dict(arch=self.arch, in_channels=self.num_channels, **self.arguments)


class MMBackbonesBackbone(BackboneMixin, PreTrainedModel):
    """A backbone of this package, `net`, as transformers calls it."""

    config_class = MMBackbonesConfig
    main_input_name = 'pixel_values'
    has_attentions = False

    def __init__(self, config):
        super().__init__(config)
        self.num_features = config.hidden_sizes
        self.net = self.new_net()
        for tensor in tensors(self.net).values():
            # If transformers renames its mark, tensors that a file lacks stay empty.
            tensor._is_hf_initialized = not tensor.is_meta
        self.post_init()

    def new_net(self):
        """What the config describes."""
        indices = [self.stage_names.index(name) for name in self.out_features]
        arguments = self.config.net_arguments() | dict(out_indices=indices)
        return MODELS.get(self.config.backbone)(**arguments)

    def _init_weights(self, module):
        """What a file lacks of a module starts as in a new net.

        Each module gives its own tensors, since transformers passes over modules without any.
        """
        names = {each: name for name, each in self.net.named_modules()}
        own = own_tensors(module)
        if module in names and not all(map(is_initialized, own.values())):
            new = own_tensors(self.new_net().get_submodule(names[module]))
            for name, tensor in own.items():
                copy_(tensor, new[name])

    def forward(self, pixel_values, output_hidden_states=None, return_dict=None, **unused):
        """The maps of the stages that the config chose, and as hidden states the same."""
        maps = self.net(pixel_values)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        output = BackboneOutput(
            feature_maps=maps, hidden_states=maps if output_hidden_states else None
        )
        if return_dict is None:
            return_dict = self.config.return_dict
        return output if return_dict else output.to_tuple()


def tensors(net):
    """{name: parameter or buffer}, themselves and not copies without their attributes."""
    return net.state_dict(keep_vars=True)


def own_tensors(module):
    """{name: parameter or buffer} of a module itself, without those of its children."""
    return {name: tensor for name, tensor in tensors(module).items() if '.' not in name}


def is_initialized(tensor):
    """Whether transformers loaded a tensor, or the constructor of the net gave it values."""
    return getattr(tensor, '_is_hf_initialized', False)


AutoConfig.register(MMBackbonesConfig.model_type, MMBackbonesConfig)
AutoBackbone.register(MMBackbonesConfig, MMBackbonesBackbone)
