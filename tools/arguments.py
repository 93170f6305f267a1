"""Arguments that several tools take: models by name, shapes, settings."""

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
