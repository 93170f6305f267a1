"""training.json beside a training's log: what is trained, on what, and what the model costs.

tools/train.py writes it, so that nobody has to build a model to compare trainings.
"""

import copy
import json
from pathlib import Path

import torch
from mmengine.dist import get_world_size, is_main_process

from lib.flops import WithoutProducts, build, count, parameters, passing
from mmbackbones.weights.errors import brief

NAME = 'training.json'
# All that it holds; what a training does not know is null.
FIELDS = {
    'method': str,  # the class of the detector, or of the segmenter's head
    'backbone': str,
    'data': str,  # the roots of the training's datasets
    'batch_size': int,  # of each process
    'processes': int,
    'parameters': int,
    'flops': int,  # of one image of the test pipeline's scale
    'height': int,
    'width': int,
    'not_counted': str,  # why there are no FLOPs
}
LONGEST_TEXT, LARGEST_NUMBER, LARGEST_FILE = 500, 10**18, 2**16


def write_training_file(runner):
    """Write the file of a runner that is about to train; what cannot be counted is null."""
    if not is_main_process():
        return
    content = dict.fromkeys(FIELDS) | described(runner.cfg)
    try:
        # Neither the training's random numbers nor its model or its GPU have a part in this.
        with torch.random.fork_rng(devices=[]), torch.device('cpu'):
            content |= counted(copy.deepcopy(runner.cfg))
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
    data = list(values(loader.dataset, 'data_root')) or list(values(loader.dataset, 'ann_file'))
    return dict(
        method=type_name(head),
        backbone=f'{type_name(backbone)}{size}'.strip(),
        data=brief(' and '.join(dict.fromkeys(str(each).rstrip('/') for each in data)), 500),
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


def counted(cfg):
    """Parameters of a config's model, and its FLOPs at the scale of the test pipeline."""
    model = build(cfg)
    numbers = dict(parameters=parameters(model))
    scale = next(values(cfg.get('test_dataloader') or cfg.get('val_dataloader'), 'scale'), None)
    if scale is None:
        return numbers | dict(not_counted='the test pipeline has no scale')
    width, height = (scale, scale) if isinstance(scale, int) else scale
    with WithoutProducts():
        flops = count(passing(model, cfg.default_scope, (height, width)))['Global']
    return numbers | dict(flops=round(flops), height=height, width=width)


def read_training_file(path):
    """The content of such a file, by `FIELDS`, as data from a stranger.

    Raises:
        ValueError: It is none.
    """
    try:
        if not path.is_file():
            raise ValueError('no file')
        with path.open('rb') as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise ValueError(f'it has more than {LARGEST_FILE:,} bytes')
        content = json.loads(text)
        return {name: checked(content, name, kind) for name, kind in FIELDS.items()}
    except (KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        reason = f'no {error}' if isinstance(error, KeyError) else brief(error)
        raise ValueError(
            f'{path} is not as tools/train.py writes it ({reason}); leave this work dir out'
        ) from error


def checked(content, name, kind):
    """A value of a type, or None; a `ValueError` if it is of another, or beyond all measure."""
    value = content[name]
    fits = value is None or type(value) is kind
    size = len(value) if isinstance(value, str) else value
    limit = LONGEST_TEXT if kind is str else LARGEST_NUMBER
    if not fits or (value is not None and not 0 <= size <= limit):
        raise ValueError(f'{name} is {brief(value, 50)}')
    return value
