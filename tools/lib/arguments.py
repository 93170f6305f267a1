"""Arguments that several tools take: models by name, configs, shapes, settings, folders."""

import argparse
import ast
import contextlib
import io
import os
import sys
import tempfile
import time
import warnings
from importlib import import_module
from operator import length_hint
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

EVERY = 30  # seconds between lines that say how far something is, where no terminal shows a bar


def make_parser(description, epilog, **options):
    """A parser that shows description and epilog as they are written.

    Every tool has one, so here is where each of them stops loading weights that run code, and
    where Ctrl-C becomes one line.
    """
    load_safely()
    sys.excepthook = say_interrupted
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


def say_interrupted(kind, error, trace):
    """Print an error that nobody caught as ever, but of Ctrl-C one line."""
    if issubclass(kind, KeyboardInterrupt):
        print('interrupted', file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


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
    """Exit with one sentence if a config does not say which package of mm it is for."""
    if not cfg.get('default_scope'):
        parser.error(f'{path} has no default_scope, such as mmdet or mmseg, which this tool needs')


def read_mm_model(path, parser, options=()):
    """The config of a model of a package of mm, or an exit with one sentence."""
    cfg = read_model(path, parser, options)
    check_scope(cfg, path, parser)
    return cfg


def import_quietly(scope):
    """Import what a package of mm registers, without its remarks on optional packages."""
    warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
    for part in ('models', 'datasets', 'evaluation', 'structures', 'visualization', 'apis'):
        # Packages differ in their parts, and a config may do without a scope.
        with contextlib.suppress(ImportError), contextlib.redirect_stdout(io.StringIO()):
            import_module(f'{scope}.{part}')


def progress(items, what, total=None):
    """The items one after another, with a bar on a terminal, or a line on stderr now and then.

    Args:
        items: Anything to iterate over.
        what: The title.
        total: How many there are, where they have no length.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(items, what, total=total, console=console)
        return
    said, total = time.monotonic(), total or length_hint(items)
    for done, item in enumerate(items):
        if time.monotonic() - said >= EVERY:
            said, of = time.monotonic(), f' of {total:g}' if total else ''
            print(f'{what}: {done}{of}', file=sys.stderr, flush=True)
        yield item


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


class OptionsAction(DictAction):
    """Settings as mmengine reads them, and dicts: `custom_hooks="[dict(type='EMAHook')]"`."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Read KEY=VALUE pairs, or exit with one sentence."""
        for each in values:
            try:
                super().__call__(parser, namespace, [each], option_string)
            except (AssertionError, RecursionError, SyntaxError, ValueError) as error:
                parser.error(f'{option_string} {each}: expected KEY=VALUE ({brief(error)})')

    @staticmethod
    def _parse_iterable(val):
        if 'dict(' in val or '{' in val:
            return plain_value(ast.parse(val, mode='eval').body)
        return DictAction._parse_iterable(val)


def plain_value(node):
    """The value of a parsed expression of literals and calls of dict; nothing of it runs."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict' and not node.args:
        return {each.arg: plain_value(each.value) for each in node.keywords}
    if isinstance(node, ast.Dict):
        return dict(zip(map(plain_value, node.keys), map(plain_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        values = map(plain_value, node.elts)
        return list(values) if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)


def add_cfg_options(parser, text):
    """The flag --cfg-options as mmdet and mmseg users know it, with a help text."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
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
