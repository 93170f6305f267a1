"""FLOPs and parameters, counted by PyTorch, of whatever runs."""

import copy
from functools import partial

import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import import_modules_from_strings
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count

from lib.arguments import import_quietly
from lib.dispatch import TorchDispatchMode, tree_map_only


def flops_of_attention(query, key, value, *args, out_shape=None, **kwargs):
    """PyTorch counts fused attention on GPUs but forgets the CPU's."""
    return sdpa_flop_count(query, key, value)


# If the operator moves, attention on a CPU counts as nothing, and test_flops.py fails.
FORGOTTEN = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: flops_of_attention}
# Of each scope, what models are told of an image; others, as mmpretrain's, do without.
SAMPLES = dict(
    mmdet=('mmdet', 'DetDataSample'),
    mmrotate=('mmdet', 'DetDataSample'),
    mmseg=('mmseg', 'SegDataSample'),
)
SKIPPED = {*flop_registry, *FORGOTTEN, torch.ops.aten.grid_sampler_2d}  # the last one is slow


class WithoutProducts(TorchDispatchMode):
    """A context in which what has FLOPs returns zeros on the CPU, in a tenth of the time.

    The rest is computed, as non-maximum suppression asks for numbers; a detector of two stages
    gets its boxes from equal scores.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket not in SKIPPED:
            return func(*args, **(kwargs or {}))
        inputs = tree_map_only(torch.Tensor, lambda t: t.to('meta'), (args, kwargs or {}))
        outputs = func(*inputs[0], **inputs[1])
        return tree_map_only(torch.Tensor, lambda t: torch.zeros_like(t, device='cpu'), outputs)


def count(run, *inputs):
    """{name of a module: FLOPs} of what `run` does with inputs."""
    return {name: number / 2 for name, number in tally(partial(run, *inputs), FORGOTTEN).items()}


def tally(run, mapping):
    """{name of a module: sum over its operations}, of PyTorch's FLOPs or what a mapping has."""
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        run()
    counts = counter.get_flop_counts()
    return {name: sum(by_kind.values()) for name, by_kind in counts.items()}


def parameters(module):
    """How many numbers a module learns."""
    return sum(p.numel() for p in module.parameters())


def build(cfg):
    """The model of a config, with random weights."""
    import_quietly(cfg.default_scope)
    use_data_preprocessor(cfg)
    if 'backbone' in cfg.model:
        cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()


def use_data_preprocessor(cfg):
    """Let the model have the data preprocessor that stands beside it, as the runner does."""
    if cfg.get('data_preprocessor'):
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)


def sample(scope, shape):
    """What detectors and segmenters want to know of an image."""
    package, kind = SAMPLES[scope]
    module = import_modules_from_strings(f'{package}.structures')
    info = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape)
    return getattr(module, kind)(metainfo=dict(info, scale_factor=(1.0, 1.0)))


def count_dense(model, scope, shape):
    """{name of a module: FLOPs} of a model for an image, with little arithmetic."""
    try:
        with torch.device('meta'):
            return count(passing(copy.deepcopy(model).to('meta'), scope, shape))
    except (NotImplementedError, RuntimeError):  # some ask for numbers, of which meta has none
        with WithoutProducts():
            return count(passing(model, scope, shape))


def passing(model, scope, shape):
    """A function that sends an image of a shape through a model of a package of mm.

    The image has the channels that the first convolution reads.
    """
    channels = (m.in_channels for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    image = torch.rand(1, next(channels, 3), *shape, device=next(model.parameters()).device)
    samples = [sample(scope, shape)] if scope in SAMPLES else None
    return lambda: model(image, samples, mode='tensor')
