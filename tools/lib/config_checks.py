"""Slips in a config or its options, of which mm speaks later and less clearly, or not at all."""

import inspect
import sys
from difflib import get_close_matches

import torch
from demo.mode import DEMO
from mmengine.registry import LOOPS, DefaultScope
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from lib.datasets import as_list
from lib.usage import UsageError, usage_errors
from mmbackbones.backbone import Backbone
from mmbackbones.registry import MODELS

# What is read of a config, by mmengine's runners and by us; other keys are only names in its text.
KEYS = {
    *inspect.signature(Runner).parameters,
    'allow_new',
    'auto_scale_lr',
    'compile',
    'custom_imports',
    'demo',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'strategy',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}

# Options of a DataLoader that need workers, and what they are without.
WORKER_OPTIONS = {
    option: inspect.signature(DataLoader).parameters[option].default
    for option in ('persistent_workers', 'prefetch_factor', 'timeout')
}


def check_options(cfg, options):
    """Raise a `UsageError` at a key that would do nothing or that looks like another's slip.

    New keys within parts are as good as others: most arguments of a class do not stand in a config.
    """
    for key in options:
        top, *names = key.split('.')
        if top in cfg and top not in KEYS:
            copies = copies_of(cfg, top)
            if copies:
                keys = ', '.join('.'.join([copy, *names]) for copy in copies[:4])
                raise UsageError(
                    f'--cfg-options {key} would do nothing, because {top} is copied when the '
                    f'config is read; set {keys}'
                )
            print(f'note: no runner reads {top}; only code of your own would', file=sys.stderr)
        check_key(key, top, {*cfg, *KEYS}, all_known=True)
        part = DEMO | cfg.get('demo', {}) if top == 'demo' else cfg.get(top)
        for name in names:
            if not isinstance(part, dict):
                break  # new from here on, or in a list
            check_key(key, name, part.keys(), all_known=top == 'demo')
            part = part.get(name)


def copies_of(cfg, name):
    """Where the value of a name in a config's text has gone: keys such as model.backbone."""
    value = cfg[name]
    parts = [each for top in sorted(cfg.keys() & KEYS) for each in parts_of(cfg[top], top)]
    named = [where for where, _ in parts if where.endswith(f'.{name}')]
    if not value or not isinstance(value, str | list | tuple | dict):
        return named  # a number stands in many places
    return [where for where, part in parts if has_all_of(part, value)] or named


def parts_of(part, where):
    """(path, value) of everything in a part of a config, the outer ones first."""
    yield where, part
    items = ()
    if isinstance(part, dict):
        items = part.items()
    elif isinstance(part, list | tuple):
        items = enumerate(part)
    for key, each in items:
        yield from parts_of(each, f'{where}.{key}')


def has_all_of(part, value):
    """Whether a part of a config is a value, or a dict with all that a dict has."""
    if isinstance(value, dict) and isinstance(part, dict):
        return all(key in part and part[key] == each for key, each in value.items())
    return part == value


def check_key(key, name, known, all_known):
    """Raise a `UsageError` if a name in a key is not known, but near to one that is."""
    near = get_close_matches(name, known, 1, 0.75)
    if name not in known and (near or all_known):
        hint = f'did you mean {near[0]}?' if near else f'known are {", ".join(sorted(known))}'
        raise UsageError(f'--cfg-options {key}: there is no {name}; {hint}')


def check_settings(cfg):
    """Raise a `UsageError` at settings of which the library says later, and less clearly, no."""
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader') or {}
        for option, unused in WORKER_OPTIONS.items():
            if loader.get(option) and not loader.get('num_workers'):
                key = f'{name}_dataloader.{option}'
                raise UsageError(
                    f'{key} needs workers, and num_workers is 0; set {key}={unused} as well'
                )
        loop = dict(cfg.get(f'{name}_cfg') or {})
        loop.pop('_scope_', None)  # which bases of other packages have
        kind = class_of(loop.pop('type', None), LOOPS, cfg)
        if kind is None:
            continue
        try:
            inspect.signature(kind).bind_partial(**loop)
        except TypeError as error:
            raise UsageError(
                f'{name}_cfg: {kind.__name__} {error}, which a base of this config has; write '
                f'{name}_cfg = dict(_delete_=True, type=...)'
            ) from error


def class_of(kind, registry, cfg):
    """The class that a type of a config names, or None if mm does not know it, as it will say."""
    if not isinstance(kind, str):
        return kind
    try:
        with registry.switch_scope_and_registry(cfg.get('default_scope')) as scoped:
            return scoped.get(kind)
    except (ImportError, KeyError, RuntimeError):
        return None


def check_maps(cfg):
    """Raise a `UsageError` if a neck or head cannot read the maps of a backbone of ours."""
    settings = dict(cfg.model.get('backbone') or {}, init_cfg=None)
    kind = class_of(settings.pop('type', None), ROOT_MODELS, cfg)
    if kind and issubclass(kind, Backbone):
        check_readers(cfg, kind, settings)
    elif getattr(kind, '__name__', '') in MODELS.module_dict and 'arch' in settings:
        raise UsageError(
            f'model.backbone: {kind.__module__}.{kind.__name__} takes no arch; ours is '
            f'type=mmbackbones.{kind.__name__}'
        )


def check_readers(cfg, kind, settings):
    """Raise a `UsageError` if the neck or a head fails with the maps of our backbone."""
    with usage_errors(TypeError, ValueError, about='model.backbone'), torch.device('meta'):
        net = kind(**settings)
    given = list(net.out_channels)
    sides = [256 // stride for stride in net.out_strides]
    maps = [torch.empty(2, c, side, side) for c, side in zip(given, sides, strict=True)]
    for where, part in map_readers(cfg.model):
        wanted = as_list(part.in_channels)
        indices = as_list(part.get('in_index', list(range(len(given)))))
        fits = max(indices) < len(given) and wanted == [given[index] for index in indices]
        if not fits and not takes_maps(part, maps, cfg.get('default_scope')):
            raise UsageError(
                f'model.{where} takes maps {indices} with in_channels={part.in_channels}, but '
                f'mmbackbones.{kind.__name__} returns maps of {given} channels; set in_channels '
                f'of the {where}, or out_indices of the backbone'
            )


def takes_maps(part, maps, scope):
    """Whether a neck or head of a config takes maps."""
    try:
        with DefaultScope.overwrite_default_scope(scope):
            ROOT_MODELS.build(part)(maps)
    except Exception:  # whatever it is, mm will not get further
        return False
    return True


def map_readers(model):
    """(name, settings) of what reads the maps of the backbone: a neck, or else the heads."""
    if model.get('neck'):
        found = [('neck', as_list(model.neck)[0])]  # of several, the first
    else:
        heads = ('decode_head', 'auxiliary_head')
        found = [(head, part) for head in heads for part in as_list(model.get(head) or [])]
    yield from ((where, part) for where, part in found if 'in_channels' in part)
