"""Every shipped config: its name, its source, the size of its model, its decay, its pipelines."""

import ast
import copy
import functools
import re
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmcv.ops', reason='mmcv was built without its operators')
pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.hooks import CheckpointHook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, PARAM_SCHEDULERS, DefaultScope
from mmengine.utils import import_modules_from_strings
from torch import nn

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(path.stem for path in ROOT.glob('*.py'))
FILES = sorted(ROOT.rglob('*.py'))
NAME = re.compile(
    r'(?P<method>(?:cascade_)?mask_rcnn|retinanet|upernet)_(?P<backbone>swin)_(?P<size>[tsbl])'
    r'(?:_(?P<schedule>3x|22k))?'
)
PARAMETERS = {
    ('mask_rcnn', 't'): 47_794_602,
    ('mask_rcnn', 's'): 69_112_506,
    ('mask_rcnn', 'b'): 107_141_800,
    ('mask_rcnn', 'l'): 215_640_708,
    ('retinanet', 't'): 38_458_606,
    ('retinanet', 's'): 59_776_510,
    ('retinanet', 'b'): 98_387_372,
    ('retinanet', 'l'): 208_049_416,
    ('upernet', 't'): 59_941_862,
    ('upernet', 's'): 81_259_766,
    ('upernet', 'b'): 121_279_716,
    ('upernet', 'l'): 233_759_936,
}
# The authors round these three to 86M, 107M and 145M.
MILLIONS = {'t': 86, 's': 107, 'b': 145}

every_config = pytest.mark.parametrize('name', CONFIGS)


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


def one_per_method():
    return sorted({NAME.fullmatch(name)['method']: name for name in CONFIGS}.values())


def texts(value):
    """All strings inside nested dicts, lists and tuples."""
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    nested = isinstance(value, dict | list | tuple)
    return [text for item in items for text in texts(item)] if nested else []


@every_config
def test_name_says_method_backbone_size_schedule(name):
    parts = NAME.fullmatch(name)
    assert parts
    cfg = config(name)
    assert cfg.model.backbone.arch[0] == parts['size']
    assert (cfg.train_cfg.get('max_epochs') == 36) == (parts['schedule'] == '3x')


@every_config
def test_docstring_names_source_and_result(name):
    doc = ast.get_docstring(ast.parse((ROOT / f'{name}.py').read_text()))
    assert re.search(r'^Recipe: https://github\.com/\S+$', doc, re.M)
    reported = re.search(r'^Result: .*\d\d\.\d.*', doc, re.M)
    mark = 'reported by the authors, not reproduced here' if reported else 'no published result'
    assert mark in doc


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stand_alone(path):
    assert '::' not in path.read_text()


@every_config
def test_weights_fit_the_size(name):
    cfg = config(name)
    url = cfg.model.backbone.init_cfg.checkpoint
    assert f'/swin_{cfg.model.backbone.arch}_patch4_window7_224' in url
    assert '22kto1k' not in url
    assert url.endswith('_22k.pth') == ('ImageNet-22K' in (ROOT / f'{name}.py').read_text())


@every_config
def test_parameter_count(name):
    count = sum(p.numel() for p in model(name).parameters())
    parts = NAME.fullmatch(name)
    if parts['method'] == 'cascade_mask_rcnn':
        assert round(count / 1e6) == MILLIONS[parts['size']]
        return
    assert count == PARAMETERS[parts['method'], parts['size']]


def test_every_published_count_has_a_config():
    found = {NAME.fullmatch(name).group('method', 'size') for name in CONFIGS}
    assert found >= PARAMETERS.keys()


@every_config
def test_heads_take_what_the_backbone_gives(name):
    cfg, channels = config(name).model, list(model(name).backbone.out_channels)
    if 'neck' in cfg:
        assert cfg.neck.in_channels == channels
        return
    assert cfg.decode_head.in_channels == channels
    assert cfg.auxiliary_head.in_channels == channels[cfg.auxiliary_head.in_index]
    assert cfg.data_preprocessor.size == config(name).crop_size


@every_config
def test_retinanet_leaves_stride_4_out(name):
    backbone = config(name).model.backbone
    expected = (1, 2, 3) if name.startswith('retinanet') else (0, 1, 2, 3)
    assert backbone.get('out_indices', (0, 1, 2, 3)) == expected


@every_config
def test_trained_with_adamw(name):
    cfg = config(name)
    optimizer = cfg.optim_wrapper.optimizer
    recipe = (6e-5, 0.01) if name.startswith('upernet') else (1e-4, 0.05)
    assert optimizer.type == 'AdamW'
    assert (optimizer.lr, optimizer.weight_decay) == recipe
    assert 'SGD' not in texts(cfg.to_dict())
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size


def undecayed(wrapper):
    """The ids of the parameters that the optimizer leaves without decay."""
    groups = [group for group in wrapper.param_groups if group['weight_decay'] == 0]
    return {id(parameter) for group in groups for parameter in group['params']}


@pytest.mark.parametrize('name', one_per_method())
def test_no_decay_on_norms_and_bias_tables_of_the_backbone(name):
    net = model(name)
    wrapper = build_optim_wrapper(net, config(name).optim_wrapper)
    norms = [m for m in net.backbone.modules() if isinstance(m, nn.LayerNorm)]
    expected = {id(p) for norm in norms for p in norm.parameters()}
    tables = [p for n, p in net.named_parameters() if n.endswith('relative_position_bias_table')]
    assert norms
    assert tables
    assert undecayed(wrapper) == expected | {id(p) for p in tables}


@pytest.mark.parametrize('name', one_per_method())
def test_schedulers_cover_the_training_and_build(name):
    cfg = config(name)
    wrapper = build_optim_wrapper(model(name), cfg.optim_wrapper)
    for scheduler in cfg.param_scheduler:
        epochs = dict(epoch_length=100) if scheduler.by_epoch else {}
        PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=wrapper, **epochs))
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.get('max_epochs', 160000)


@every_config
def test_pipelines_and_datasets_build(name):
    cfg = config(name)
    import_modules_from_strings(f'{cfg.default_scope}.datasets')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        Compose(cfg.get('tta_pipeline', []))
        for split in ('train', 'val', 'test'):
            DATASETS.build(dict(cfg[f'{split}_dataloader'].dataset, lazy_init=True))


@every_config
def test_datasets_are_plain_and_use_the_top_level_names(name):
    cfg = config(name)
    for split, pipeline in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.type == ('ADE20KDataset' if name.startswith('upernet') else 'CocoDataset')
        assert dataset.pipeline == cfg[f'{pipeline}_pipeline']
        assert dataset.data_root == cfg.data_root


@every_config
def test_tta_exists_where_it_can_merge(name):
    cfg = config(name)
    assert ('tta_model' in cfg) == ('mask_rcnn' not in name)
    assert ('tta_model' in cfg) == ('tta_pipeline' in cfg)


@every_config
def test_runtime_keeps_the_best_checkpoint(name):
    hook = config(name).default_hooks.checkpoint.copy()
    assert hook.pop('type') == 'CheckpointHook'
    assert CheckpointHook(**hook).max_keep_ckpts == 3
    assert hook.save_best == ('mIoU' if name.startswith('upernet') else 'coco/bbox_mAP')
