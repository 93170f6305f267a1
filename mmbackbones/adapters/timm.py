"""The backbones as models of timm: `import mmbackbones.adapters.timm`, then `timm.create_model`.

A name is mmbackbones_<family>_<size>: none of timm's own starts so, and both sides may add models
without a clash. As in timm, a dot and the name of a published file of weights may follow:
`mmbackbones_swin_tiny.22k` takes the arguments of that file, such as its windows.
"""

import re

from torch import nn

from .. import models
from ..registry import MODELS
from ..weights import load_checkpoint
from ..weights.published import every_published
from .stages import stage_outputs

try:
    from timm.models import (
        FeatureInfo,
        PretrainedCfg,
        generate_default_cfgs,
        register_model,
        resolve_pretrained_cfg,
    )
except ImportError as error:
    text = f'mmbackbones.adapters.timm needs timm, which cannot be imported ({error}): pip install'
    raise ImportError(f'{text} "timm>=1.0"') from error


class Features(nn.Module):
    """A backbone as timm's `features_only` models are: images -> a list of maps."""

    def __init__(self, net, feature_info, pretrained_cfg):
        super().__init__()
        self.net = net
        self.feature_info = FeatureInfo(feature_info, net.out_indices)
        self.pretrained_cfg = self.default_cfg = pretrained_cfg

    def forward(self, x):
        return list(self.net(x))

    def set_grad_checkpointing(self, enable=True):
        """Keep the input of each block in training and compute the rest again, or do not."""
        for stage in self.net.stages:
            stage.with_cp = enable


def model_name(family, arch):
    """The name in timm of a size of a class."""
    return f'mmbackbones_{family.__module__.rpartition(".")[2]}_{arch}'


def known_files():
    """(name of a model with the tag of a file, `Published`) of each published file."""
    for family, arch, label, weights in every_published():
        tag = re.sub(r'\W+', '_', label.lower())
        yield f'{model_name(MODELS.get(family), arch)}.{tag}', weights


def timm_cfg(weights):
    """What timm says of pretrained weights; its mean and deviation are of images from 0 to 1."""
    channels = weights.arguments.get('in_channels', 3)
    mean, std = (
        tuple(round(value / 255, 6) for value in (values * channels)[:channels])
        for values in weights.normalization
    )
    return PretrainedCfg(
        url=weights.url,
        input_size=(channels, weights.size, weights.size),
        mean=mean,
        std=std,
        num_classes=0,
        license=weights.licence,
        origin_url=weights.source,
    )


def create(
    name,
    family,
    arch,
    pretrained=False,
    *,
    features_only=False,
    pretrained_cfg=None,
    pretrained_cfg_overlay=None,
    in_chans=None,
    out_indices=None,
    output_stride=32,
    num_classes=0,
    global_pool='',
    pretrained_model_args=None,
    **options,
):
    """What `timm.create_model` returns; `options` are arguments of the backbone.

    As in timm, `num_classes` and `global_pool` mean nothing where there is no classifier.
    """
    if not features_only:
        raise ValueError(f'{name} returns maps and has no classifier: give features_only=True')
    cfg = resolve_pretrained_cfg(name, pretrained_cfg, pretrained_cfg_overlay)
    published = FILES.get(f'{name}.{cfg.tag}')
    arguments = dict(arch=arch) | (published.arguments if published else {})
    arguments |= {key: value for key, value in options.items() if value is not None}
    if in_chans is not None:
        arguments['in_channels'] = in_chans
    outputs = stage_outputs(family, arguments)
    net = family(**arguments, out_indices=chosen(out_indices, len(outputs)))
    if net.out_strides[-1] > output_stride:
        raise ValueError(
            f'{name} has no dilated stages: its map {net.out_indices[-1]} has the stride '
            f'{net.out_strides[-1]}, above output_stride={output_stride}; leave it out of '
            f'out_indices, or in segmentation_models_pytorch lower encoder_depth'
        )
    if pretrained:
        load(net, name, cfg)
    info = [
        dict(num_chs=channels, reduction=stride, module=f'net.stages.{i}')
        for i, (channels, stride) in enumerate(outputs)
    ]
    return Features(net, info, cfg.to_dict())


def chosen(out_indices, count):
    """The stages to return of so many, as timm counts: n means the last n, -1 the last."""
    if out_indices is None:
        return None
    if isinstance(out_indices, int):
        return list(range(count))[-out_indices:]
    return [i + count if i < 0 else i for i in out_indices]


def load(net, name, cfg):
    """Load the weights that timm's cfg names."""
    if cfg.state_dict:
        net.load_state_dict(cfg.state_dict)
        return
    hub = f'hf://{cfg.hf_hub_id}/{cfg.hf_hub_filename or ""}'.rstrip('/')
    source = cfg.file or (hub if cfg.hf_hub_id else cfg.url)
    if not source:
        raise ValueError(
            f'{name} has no published weights; pretrained_cfg_overlay=dict(file=PATH) loads a file '
            f'of yours'
        )
    load_checkpoint(net, source)


def register(family, arch):
    """Register a size of a class; timm takes the name from the function."""
    name = model_name(family, arch)

    def function(pretrained=False, **options):
        return create(name, family, arch, pretrained, **options)

    function.__name__ = name
    register_model(function)


SIZES = [(net, arch) for net in map(MODELS.get, models.__all__) for arch in net.archs]
FILES = dict(known_files())
# `register_model` reads this name.
default_cfgs = generate_default_cfgs(
    {model_name(*size): PretrainedCfg(num_classes=0) for size in SIZES}
    | {name: timm_cfg(weights) for name, weights in FILES.items()}
)
for size in SIZES:
    register(*size)
