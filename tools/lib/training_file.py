"""training.json beside a training's log: what is trained, on what, and what the model costs.

tools/train.py writes it, so that nobody has to build a model to compare trainings.
"""

import copy
import json
from pathlib import Path

import torch
from mmengine.dist import get_world_size, is_main_process

from lib.flops import WithoutProducts, build, count, parameters, passing
from lib.training_logs import FIELDS, LONGEST_TEXT, NAME
from mmbackbones.weights.errors import brief


def write_training_file(runner):
    """Write the file of a runner that is about to train; what cannot be counted is null."""
    if not is_main_process():
        return
    content = dict.fromkeys(FIELDS)
    try:
        content |= described(runner.cfg)
        # Neither the training's random numbers nor its model or its GPU have a part in this.
        with torch.random.fork_rng(devices=[]), torch.device('cpu'):
            cfg = copy.deepcopy(runner.cfg)
            model = build(cfg)
            content['parameters'] = parameters(model)
            content |= flops_of(model, cfg)
    except Exception as error:  # whatever a model raises: its training goes on
        content['not_counted'] = brief(f'{type(error).__name__}: {error}')
    folder = Path(runner.log_dir, 'vis_data')
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_text(json.dumps(content, indent=1) + '\n')


def described(cfg):
    """What a config says of a training."""
    loader, model = cfg.train_dataloader, cfg.model
    head, backbone = model.get('decode_head', model), model.get('backbone', {})
    head = head[-1] if isinstance(head, list | tuple) else head  # of a cascade
    size = backbone.get('arch', backbone.get('depth', ''))
    size = '' if isinstance(size, dict) else f' {size}'
    data = [*values(loader.dataset, 'data_root')] or [*values(loader.dataset, 'ann_file')]
    roots = dict.fromkeys(str(each).rstrip('/') for each in data)  # each once
    return dict(
        method=type_name(head),
        backbone=f'{type_name(backbone)}{size}'.strip(),
        data=brief(' and '.join(roots), LONGEST_TEXT),
        batch_size=loader.get('batch_size'),
        processes=get_world_size(),
    )


def type_name(part):
    """The name of the class of a part of a config, which may be the class itself."""
    kind = part.get('type', '')
    return str(getattr(kind, '__name__', kind)).rpartition('.')[-1]


def values(part, key):
    """All values of a key in nested dicts and lists, but None."""
    if isinstance(part, dict) and part.get(key) is not None:
        yield part[key]
    inner = part.values() if isinstance(part, dict) else part
    for each in inner if isinstance(part, dict | list | tuple) else ():
        yield from values(each, key)


def flops_of(model, cfg):
    """FLOPs of an image of the test pipeline's scale."""
    scale = next(values(cfg.get('test_dataloader') or cfg.get('val_dataloader'), 'scale'), None)
    if scale is None:
        return dict(not_counted='the test pipeline has no scale')
    width, height = (scale, scale) if isinstance(scale, int) else scale
    with WithoutProducts():
        flops = count(passing(model, cfg.default_scope, (height, width)))['Global']
    return dict(flops=round(flops), height=height, width=width)
