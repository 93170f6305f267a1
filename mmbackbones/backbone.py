"""What all backbones share: a stem, stages, output norms; freezing, checkpointing, weights."""

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .layers import (
    BATCH_NORMS,
    LayerNorm,
    in_exported_graph,
    in_graph,
    in_transform,
    no_recomputation,
    recomputation,
    without_cudnn,
)
from .weights import convert_state_dict, load_checkpoint


class Stage(nn.Module):
    """A downsampling, then blocks: (B, H, W, C) -> the same, or (B, H / 2, W / 2, C')."""

    with_cp = False  # whether blocks are checkpointed in training

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.downsample = downsample or nn.Identity()
        self.blocks = nn.ModuleList(blocks)
        for block in self.blocks:
            vars(block)['is_block_of_stage'] = True  # for sharding, which sees modules one by one

    def forward(self, x):
        x = self.downsample(x)
        for block in self.blocks:
            x = self.checkpointed(block, x) if self.with_cp else block(x)
        return x

    def checkpointed(self, block, x):
        """block(x), of which only x is saved for backward."""
        if in_exported_graph() or not torch.is_grad_enabled():
            return block(x)
        contexts = lambda: (no_recomputation(), keep_statistics(block))  # noqa: E731
        return checkpoint(block, x, use_reentrant=False, context_fn=contexts)


class Backbone(BaseModule):
    """Images (B, C, H, W) -> a tuple of maps (B, out_channels[i], ceil(H / s), ceil(W / s)).

    The stride s of map i is out_strides[i]: 4, 8, 16, 32 and so on.

    Args:
        stem: Maps images to tokens (B, H', W', C); has `in_channels`.
        stages: A list of `Stage`, called in turn; what each of them returns is an output.
        dims: Channels of their outputs.
        out_indices: Which stages to return, None for all, each after an output norm; others have
            no norm.
        frozen_stages: -1 trains everything, 0 freezes the stem, k the first k stages and their
            output norms as well.
        norm_eval: Keep the statistics of batch norms as they are in training.
        with_cp: Checkpoint blocks in training: their inputs are saved, the rest is recomputed.
        init_cfg: `dict(type='Pretrained', checkpoint=PATH_OR_URL)` reads every published format.
    """

    if TYPE_CHECKING:  # at run time, torch.jit would take their types from here
        stem: Any  # a module that has `in_channels`
        stages: Any  # an `nn.ModuleList` of `Stage`
    strides: tuple[int, ...] = (4, 8, 16, 32)  # the default; instances set their own
    archs: dict[str, Any] = {}  # the published sizes: {name: settings}
    formats: tuple = ()  # of their checkpoints, see weights/
    # May be missing from checkpoints: classifiers have no output norms and four stages.
    optional_keys = r'norm\d+\.|stages\.(?:[4-9]|\d\d+)\.'

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[Stage],
        dims: Sequence[int],
        *,
        out_indices: int | Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
        **unknown: Any,
    ) -> None:
        self._refuse(unknown)
        super().__init__(init_cfg)
        self.strides = tuple(4 * 2**i for i in range(len(dims)))
        every = range(len(dims))
        indices = tuple(every) if out_indices is None else out_indices
        self.out_indices = one_or_more(indices, 'out_indices', every)
        self.frozen_stages = one_of(frozen_stages, 'frozen_stages', range(-1, len(dims) + 1))
        self.norm_eval = norm_eval
        self.out_channels = tuple(dims[i] for i in self.out_indices)
        self.out_strides = tuple(self.strides[i] for i in self.out_indices)
        self.stem = stem
        used = stages[: max(self.out_indices) + 1]
        for stage in used:
            stage.with_cp = with_cp
        self.stages = nn.ModuleList(used)
        for i in self.out_indices:
            self.add_module(f'norm{i}', self.output_norm(dims[i]))
        self.apply(init_linear)
        self.register_load_state_dict_pre_hook(convert_before_loading)
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        # From the image on, so that residual adds keep it.
        x = channels_last(self._checked(x))
        if in_graph():
            return tuple(self.levels(x))
        with without_cudnn(x), recomputation():
            return tuple(self.levels(x))

    def levels(self, x: Tensor) -> Iterator[Tensor]:
        """The maps, one after the other."""
        x = self.stem(x)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                yield self.output(i, x).permute(0, 3, 1, 2).contiguous()

    def output(self, i: int, x: Tensor) -> Tensor:
        """The output map of stage i, whose last block returned x: (B, H, W, C) -> the same."""
        return getattr(self, f'norm{i}')(x)

    def output_norm(self, dim: int) -> nn.Module:
        """A new output norm for maps (B, H, W, dim)."""
        return LayerNorm(dim)

    def _checked(self, x):
        channels = self.stem.in_channels
        if x.dim() != 4 or x.shape[1] != channels or not x.is_floating_point() or not x.numel():
            raise ValueError(
                f'{type(self).__name__} takes images as floats of shape (B, {channels}, H, W), '
                f'found {x.dtype} of shape {tuple(x.shape)}'
            )
        return x

    def train(self, mode: bool = True) -> 'Backbone':
        """Set training mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freeze()
        norms = [m for m in self.modules() if isinstance(m, BATCH_NORMS)] if self.norm_eval else []
        for norm in norms:
            norm.eval()
        return self

    def _freeze(self):
        parts = [] if self.frozen_stages < 0 else [self.stem, *self.stages[: self.frozen_stages]]
        norms = [f'norm{i}' for i in self.out_indices if i < self.frozen_stages]
        for part in parts + [getattr(self, norm) for norm in norms]:
            part.eval().requires_grad_(False)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """(layer, layers): how many layers from the image a parameter is, the stem being 0.

        Every module of a stage's `blocks` is a layer; a downsampling belongs to the one before it,
        output norms to a last one. As mmpretrain's, for layer-wise learning rates.
        """
        depths = [len(stage.blocks) for stage in self.stages]
        name, layers = param_name.removeprefix(prefix), sum(depths) + 2
        if name.startswith('stem.'):
            return 0, layers
        place = re.match(r'stages\.(\d+)\.(?:downsample|blocks\.(\d+))\.', name)
        if not place:
            return layers - 1, layers
        block = 0 if place[2] is None else int(place[2]) + 1
        return sum(depths[: int(place[1])]) + block, layers

    def init_weights(self) -> None:
        """Load the checkpoint that `init_cfg` names; without one, weights stay as constructed."""
        cfgs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg]
        pretrained = [cfg for cfg in cfgs if cfg and cfg['type'] == 'Pretrained']
        if not pretrained:
            super().init_weights()
            return
        if len(cfgs) > 1:
            raise ValueError('init_cfg has Pretrained in a list; give it alone, as a dict')
        if not self.is_init:
            load_checkpoint(self, **loading_arguments(pretrained[0]))
            net: Any = self
            net.is_init = True

    def _refuse(self, unknown):
        own, common = (
            [name for name, value in inspect.signature(init).parameters.items() if name != 'self']
            for init in (type(self).__init__, Backbone.__init__)
        )
        names = [n for n in [*own, *common[3:]] if n not in ('common', 'unknown')]
        if unknown:
            raise TypeError(
                f'{type(self).__name__} has no argument {", ".join(unknown)}; '
                f'it has {", ".join(names)}'
            )


def convert_before_loading(net, state_dict, prefix, *others):
    """Called by `load_state_dict`: tensors of any known format are converted first."""
    convert_state_dict(net, state_dict, prefix)


def loading_arguments(init_cfg):
    """The arguments of `load_checkpoint` that a dict of type Pretrained has."""
    options = {key: value for key, value in init_cfg.items() if key != 'type'}
    known = ('checkpoint', 'prefix', 'map_location')
    if 'checkpoint' not in options or not set(options) <= set(known):
        raise ValueError(
            f'init_cfg of type Pretrained has {", ".join(options) or "nothing"}; give checkpoint, '
            f'and prefix and map_location where needed'
        )
    return dict(source=options.pop('checkpoint'), **options)


@contextmanager
def keep_statistics(module):
    """Inside, batch norms do not update their statistics, as in recomputation they would again."""
    norms: list[Any] = [m for m in module.modules() if isinstance(m, BATCH_NORMS)]
    norms = [norm for norm in norms if norm.track_running_stats]
    kept = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)


def channels_last(image):
    """An image in the memory format channels_last."""
    return image if in_transform() else image.contiguous(memory_format=torch.channels_last)


def arch_settings(archs, arch, **defaults):
    """The settings of a published size, by its name, or of a dict with the same keys.

    What either leaves out is taken from `defaults`.
    """
    names = list(next(iter(archs.values())) | defaults)
    if not isinstance(arch, dict):
        published = defaults | archs[one_of(arch, 'arch', archs)]
        return [published[name] for name in names]
    given = defaults | arch
    if sorted(given) != sorted(names):
        raise ValueError(f'arch has the keys {", ".join(arch)}; it takes {", ".join(names)}')
    return with_equal_lengths([given[name] for name in names], names)


def with_equal_lengths(settings, names):
    """The settings of an arch, if all per-stage lists have the same length."""
    lengths = {
        name: len(setting)
        for name, setting in zip(names, settings, strict=True)
        if isinstance(setting, (list, tuple))
    }
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        counts = ', '.join(f'{length} of {name}' for name, length in lengths.items())
        raise ValueError(f'arch has {counts}; give one of each for every stage')
    return settings


def per_stage(sizes, count, name, least):
    """A size for each stage, none smaller than `least`, from one number or one per stage."""
    sizes = sizes if isinstance(sizes, (list, tuple)) else (sizes,) * count
    if len(sizes) != count or min(sizes) < least:
        raise ValueError(f'{name} is {sizes}; give one number or {count}, from {least} up')
    return sizes


def one_of(value, name, choices):
    """`value` if it is one of the choices, else a `ValueError` that names them."""
    if value not in choices:
        raise ValueError(f'{name} is {value!r}; choose from {", ".join(map(str, choices))}')
    return value


def one_or_more(values, name, choices):
    """`values` as a tuple if they are different choices in rising order, else a `ValueError`."""
    values = tuple(values) if isinstance(values, (list, tuple)) else (values,)
    if not values or list(values) != sorted(set(values) & set(choices)):
        raise ValueError(
            f'{name} is {values}; '
            f'choose one or more of {", ".join(map(str, choices))}, in rising order'
        )
    return values


def init_linear(module):
    """Linear layers start from a normal distribution of deviation 0.02, cut at 2, and bias zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
