"""Arguments that several tools take: models by name, configs, shapes, settings, folders."""

import tempfile
from pathlib import Path

from mmengine.config import DictAction

from mmbackbones.registry import MODELS


def is_backbone(text, parser):
    """Whether it is the name of a backbone; if no config file either, an exit with one sentence."""
    if text in MODELS.module_dict or MODELS.get(text):
        return True
    if not Path(text).is_file():
        names = ', '.join(MODELS.module_dict)
        parser.error(f'{text} is neither a config file nor one of {names}')
    return False


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
