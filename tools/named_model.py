"""Models that tools take by name: a backbone's class, or a config file."""

from pathlib import Path

from mmbackbones.registry import MODELS


def is_backbone(text, parser):
    """Whether it is the name of a backbone; if no config file either, an exit with one sentence."""
    if text in MODELS.module_dict or MODELS.get(text):
        return True
    if not Path(text).is_file():
        names = ', '.join(MODELS.module_dict)
        parser.error(f'{text} is neither a config file nor one of {names}')
    return False
