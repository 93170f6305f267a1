"""training.json beside a training's log: what is trained, on what, and what the model costs.

tools/train.py writes it, so that nobody has to build a model to compare trainings.
"""

import copy
import json
from pathlib import Path

import torch
from mmengine.dist import get_world_size, is_main_process

from lib.datasets import as_list, inner_datasets, type_name
from lib.flops import build, count_dense, parameters
from lib.training_logs import FIELDS, NAME
from mmbackbones.weights.errors import truncate


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
        content['not_counted'] = truncate(f'{type(error).__name__}: {error}')
    folder = Path(runner.log_dir, 'vis_data')
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_text(json.dumps(content, indent=1) + '\n')


def described(cfg):
    """What a config says of a training."""
    loader, model = cfg.train_dataloader, cfg.model
    head, backbone = as_list(model.get('decode_head', model))[-1], model.get('backbone', {})
    size = backbone.get('arch', backbone.get('depth', ''))
    size = '' if isinstance(size, dict) else f' {size}'
    inner = inner_datasets(loader.dataset)
    roots = (each.get('data_root') or each.get('ann_file') or type_name(each) for each in inner)
    return dict(
        method=type_name(head),
        backbone=f'{type_name(backbone)}{size}'.strip(),
        data=' and '.join(dict.fromkeys(str(root).rstrip('/') for root in roots)),
        batch_size=loader.get('batch_size'),
        processes=get_world_size(),
    )


def flops_of(model, cfg):
    """FLOPs of an image of the test pipeline's scale."""
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    pipeline = inner_datasets(loader.dataset)[0].get('pipeline') or []
    scale = next((step['scale'] for step in pipeline if step.get('scale')), None)
    if scale is None:
        return dict(not_counted='the test pipeline has no scale')
    width, height = (scale, scale) if isinstance(scale, int) else scale
    flops = count_dense(model, cfg.default_scope, (height, width))['Global']
    return dict(flops=round(flops), height=height, width=width)
