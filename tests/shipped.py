"""The shipped configs: their names taken apart, read and built."""

import copy
import functools
import re
from pathlib import Path

import mmdet
import torch
from conftest import CONFIGS as PATHS
from families import BY_FILE
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import digit_version, import_modules_from_strings

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = [path.stem for path in PATHS]
NAME = re.compile(
    r'(?P<method>(?:cascade_)?mask_rcnn|retinanet|upernet|detr|rtmdet|dino_[45]scale'
    r'|mask2former(?:_panoptic|_semantic)?)_'
    rf'(?P<family>{"|".join(BY_FILE)})_'
    r'(?P<size>t|s|b|b_florence|l|xl|d[1-5]|light)(?:_(?P<schedule>3x|22k|p6|frozen))?'
)
ARCHS = dict(t='tiny', s='small', b='base', l='large', xl='xlarge', b_florence='base_fl')


@functools.cache
def config(name):
    return Config.fromfile(ROOT / f'{name}.py')


@functools.cache
def model(name):
    """The whole model without memory: no weights are loaded, drawn or stored."""
    cfg = copy.deepcopy(config(name))
    cfg.model.backbone.init_cfg = None
    import_modules_from_strings(f'{cfg.default_scope}.models')
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        return MODELS.build(cfg.model)


def recent_mmdet():
    """Whether mmdet is of 3.5, which OneDL has, and not of 3.3 as OpenMMLab's."""
    return digit_version(mmdet.__version__) >= digit_version('3.5')
