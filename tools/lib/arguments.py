"""Arguments that several tools take: models by name, configs, shapes, settings, folders."""

import argparse
import os
import tempfile
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from rich.console import Console
from rich.progress import track

import mmbackbones
from mmbackbones.backbone import Backbone
from mmbackbones.registry import MODELS
from mmbackbones.weights.errors import brief
from mmbackbones.weights.reading import load_checked_files_only


def make_parser(description, epilog, **options):
    """A parser that shows description and epilog as they are written.

    Every tool has one, so here is where each of them stops loading weights that run code.
    """
    load_safely()
    layout = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=layout, **options
    )


def load_safely():
    """Let no file of weights run code in this process, whoever loads it: mm, PyTorch, DeepSpeed."""
    load_checked_files_only()
    mmbackbones.trust_trainings()  # DeepSpeed loads what a training saves by PyTorch itself
    os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'


def is_backbone(text, parser, arch=None):
    """Whether it is the name of a backbone, which may have an arch; an exit if no config either."""
    if not Path(text).is_file():
        if Path(text).name == text and MODELS.get(text):  # which takes ./ for a scope
            return True
        names = ', '.join(MODELS.module_dict)
        parser.error(f'{text} is neither a config file nor one of {names}')
    if arch:
        parser.error(f'--arch is for a backbone by name; {text} has one')
    return False


def build_backbone(model, parser, weights=None, arch=None, options=()):
    """The backbone of a name or of a config file, in evaluation; an exit if it cannot be built.

    Without weights they are random: what a config says of them is left alone.
    """
    if is_backbone(model, parser, arch):
        options = dict(options, type=MODELS.get(model), **(dict(arch=arch) if arch else {}))
    else:
        config = read_model(model, parser, options)
        options = dict(config.model.backbone, init_cfg=None)
    try:
        net = MODELS.build(options)
        if weights:
            mmbackbones.load_checkpoint(net, weights)
    except (TypeError, ValueError, KeyError, OSError, mmbackbones.CheckpointError) as error:
        parser.error(str(error))
    if not isinstance(net, Backbone):
        parser.error(f'the backbone of {model} is {type(net).__name__}, none of this package')
    return net.eval().requires_grad_(False)


def read_model(path, parser, options=()):
    """The config of a model with a backbone, or an exit with one sentence."""
    try:
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(dict(options))
        dict(cfg.model.backbone)
    except (AttributeError, KeyError, OSError, SyntaxError, TypeError, ValueError) as error:
        parser.error(f'{path} is no config with a model.backbone: {brief(error)}')
    return cfg


def check_scope(cfg, path, parser):
    """Exit with one sentence if a config is neither for mmdet nor for mmseg."""
    if cfg.get('default_scope') not in ('mmdet', 'mmseg'):
        parser.error(f'{path} has no default_scope of mmdet or mmseg; set one of them')


def progress(items, what, total=None):
    """The items one after another, with a bar on stderr; `total` where they have no length."""
    return track(items, what, total=total, console=Console(stderr=True))


def check_device(device, parser):
    """Exit with one sentence if PyTorch cannot compute there."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        parser.error(f'--device {device}: {brief(error)}; take cpu or a device of this machine')


def shape(text, parser):
    """'224x288' -> (224, 288)."""
    sides = text.split('x')
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        parser.error(f'--shape is {text}; give height and width, as in 224x288')
    return tuple(map(int, sides))


def add_cfg_options(parser, text):
    """The flag --cfg-options as mmdet and mmseg users know it, with a help text."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help=text,
    )


def add_config(parser, demo):
    """A config and what changes it: --demo, with a help text, and --cfg-options."""
    parser.add_argument('config', help='a config file, e.g. configs/mask_rcnn_swin_t.py')
    parser.add_argument('--demo', action='store_true', help=demo)
    add_cfg_options(parser, 'settings to override, e.g. train_dataloader.batch_size=4')


def check_folder(folder, flag, parser):
    """Exit with one sentence if nothing can be written into the folder that a flag names."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        parser.error(f'cannot write into {folder}: {error.strerror}; set another {flag}')
