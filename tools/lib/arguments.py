"""Arguments that several tools take: models by name, configs, shapes, settings, folders."""

import ast
import contextlib
import io
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
from lib.usage import UsageError, usage_errors
from mmbackbones.backbone import Backbone
from mmbackbones.registry import MODELS
from mmbackbones.weights.errors import truncate

EVERY = 30  # seconds between lines that say how far something is, where no terminal shows a bar


def is_backbone(text, arch=None):
    """Whether a text names a backbone, which may have an arch, and not the file of a config."""
    if not Path(text).is_file():
        if Path(text).name == text and MODELS.get(text):  # which takes ./ for a scope
            return True
        names = ', '.join(MODELS.module_dict)
        raise UsageError(f'{text} is neither a config file nor one of {names}')
    if arch:
        raise UsageError(f'--arch is for a backbone by name; {text} has one')
    return False


def build_backbone(model, weights=None, arch=None, options=()):
    """The backbone of a name or of a config file, in evaluation.

    Without weights they are random: what a config says of them is left alone.
    """
    if is_backbone(model, arch):
        options = dict(options, type=MODELS.get(model), **(dict(arch=arch) if arch else {}))
    else:
        config = read_model_config(model, options)
        options = dict(config.model.backbone, init_cfg=None)
    with usage_errors(TypeError, ValueError, KeyError, OSError, mmbackbones.CheckpointError):
        net = MODELS.build(options)
        if weights:
            mmbackbones.load_checkpoint(net, weights)
    if not isinstance(net, Backbone):
        raise UsageError(f'the backbone of {model} is {type(net).__name__}, none of this package')
    return net.eval().requires_grad_(False)


def read_model_config(path, options=()):
    """The config of a model with a backbone."""
    try:
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(dict(options))
        dict(cfg.model.backbone)
    except (AttributeError, KeyError, OSError, SyntaxError, TypeError, ValueError) as error:
        raise UsageError(f'{path} is no config with a model.backbone: {truncate(error)}') from error
    return cfg


def check_scope(cfg, path):
    """Raise a `UsageError` if a config does not say which package of mm it is for."""
    if not cfg.get('default_scope'):
        raise UsageError(
            f'{path} has no default_scope, such as mmdet or mmseg, which this tool needs'
        )


def read_mm_config(path, options=()):
    """The config of a model of a package of mm."""
    cfg = read_model_config(path, options)
    check_scope(cfg, path)
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
    total = total or length_hint(items)
    of_total = f' of {total:g}' if total else ''
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            print(f'{what}: {done}{of_total}', file=sys.stderr, flush=True)
        yield item


def check_device(device):
    """Raise a `UsageError` if PyTorch cannot compute on a device."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        text = f'--device {device}: {truncate(error)}; take cpu or a device of this machine'
        raise UsageError(text) from error


def parse_shape(text):
    """'224x288' -> (224, 288)."""
    sides = text.split('x')
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UsageError(f'--shape is {text}; give height and width, as in 224x288')
    return tuple(map(int, sides))


class OptionsAction(DictAction):
    """Settings as mmengine reads them, and dicts: `custom_hooks="[dict(type='EMAHook')]"`."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Read KEY=VALUE pairs, as argparse asks for it."""
        for each in values:
            try:
                super().__call__(parser, namespace, [each], option_string)
            except (AssertionError, RecursionError, SyntaxError, ValueError) as error:
                text = f'{option_string} {each}: expected KEY=VALUE ({truncate(error)})'
                raise UsageError(text) from error

    # If mmengine's method moves, --cfg-options takes dicts for text, and tests of them fail.
    @staticmethod
    def _parse_iterable(val):
        if 'dict(' in val or '{' in val:
            return literal_value(ast.parse(val, mode='eval').body)
        return DictAction._parse_iterable(val)


def literal_value(node):
    """The value of a parsed expression of literals and calls of dict; nothing of it runs."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict' and not node.args:
        return {each.arg: literal_value(each.value) for each in node.keywords}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {literal_value(key): literal_value(each) for key, each in pairs}
    if isinstance(node, ast.List | ast.Tuple):
        values = map(literal_value, node.elts)
        return list(values) if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)


def add_cfg_options(parser, text):
    """Add the flag --cfg-options as mmdet and mmseg users know it, with a help text."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help=text,
    )


def add_config(parser, help_of_demo):
    """Add a config and what changes it: --demo, with a help text, and --cfg-options."""
    parser.add_argument('config', help='a config file, e.g. configs/mask_rcnn_swin_t.py')
    parser.add_argument('--demo', action='store_true', help=help_of_demo)
    add_cfg_options(parser, 'settings to override, e.g. train_dataloader.batch_size=4')


def check_folder(folder, flag):
    """Create the folder that a flag names; a `UsageError` if nothing can be written into it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        text = f'cannot write into {folder}: {error.strerror}; set another {flag}'
        raise UsageError(text) from error
