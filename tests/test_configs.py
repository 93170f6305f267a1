"""Every shipped config: its name, its source, the size of its model, its decay, its pipelines."""

import ast
import copy
import re

import pytest
import torch
from conftest import SISTERS
from demo.mode import adapt
from families import BY_FILE

pytest.importorskip('mmcv.ops', reason='mmcv was built without its operators')
pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from lib.normalization import foreign_normalization, normalization_of
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.hooks import CheckpointHook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, PARAM_SCHEDULERS, DefaultScope
from mmengine.utils import import_modules_from_strings
from shipped import ARCHS, CONFIGS, NAME, ROOT, config, model
from torch import nn

from mmbackbones.paths import configs_of
from mmbackbones.weights.published import PUBLISHED
from mmbackbones.weights.published_dense import find_report

FILES = sorted(ROOT.rglob('*.py'))
# Of whole models, as the authors publish them: exact numbers, or rounded millions.
COUNTS = {
    (method, family, size): count
    for family, row in BY_FILE.items()
    for (method, size), count in row.models.items()
}
# (learning rate, decay) where it is not that of Swin.
RECIPES = {start: recipe for row in BY_FILE.values() for start, recipe in row.recipes.items()}
# Methods by the recipes of mmdet and mmseg, whose rates are told apart in tests/test_recipes.py.
OTHERS = ('mask2former', 'dino', 'rtmdet')
# Where it is not COCO with boxes.
DATASET = dict(
    upernet='ADE20KDataset',
    mask2former_semantic='ADE20KDataset',
    mask2former_panoptic='CocoPanopticDataset',
)
BEST = dict(
    upernet='mIoU',
    mask2former_semantic='mIoU',
    mask2former_panoptic='coco_panoptic/PQ',
    mask2former='coco/segm_mAP',
)
every_config = pytest.mark.parametrize('name', CONFIGS)


def published(name):
    """How many parameters the authors' model has, if they say so."""
    return COUNTS.get(NAME.fullmatch(name).group('method', 'family', 'size'))


def one_per_family_and_method():
    return sorted({NAME.fullmatch(n).group('method', 'family'): n for n in CONFIGS}.values())


def texts(value):
    """All strings inside nested dicts, lists and tuples."""
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    nested = isinstance(value, dict | list | tuple)
    return [text for item in items for text in texts(item)] if nested else []


def plain(value):
    """Nested dicts and lists, without the scopes that mmengine puts into a base of mmdet."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key != '_scope_'}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


@every_config
def test_name_says_method_backbone_size_schedule(name):
    parts = NAME.fullmatch(name)
    assert parts
    cfg, arch = config(name), ARCHS.get(parts['size'], parts['size'])
    if parts['schedule'] == 'p6':  # a stage more
        numbers = MODELS.get(cfg.model.backbone.type).archs[arch]
        assert all(cfg.model.backbone.arch[key][:4] == numbers[key] for key in numbers)
    else:
        assert cfg.model.backbone.arch == arch
    assert (cfg.train_cfg.get('max_epochs') == 36) == (parts['schedule'] == '3x')


@every_config
def test_docstring_names_source_and_result(name):
    doc = ast.get_docstring(ast.parse((ROOT / f'{name}.py').read_text()))
    assert re.search(r'^Recipe: https://github\.com/\S+$', doc, re.M)
    assert bool(find_report(name)) != ('Result: no published result' in doc)
    assert doc.count('Result') == 1


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_whole_recipes_of_mmdet_are_bases_from_elsewhere(path):
    """Of mmdet alone: mmengine looks for mmseg by a name that not every package of it has."""
    found = re.findall(r"^(?:_base_ = |    )'(\w+)::\w+/.*\.py',?$", path.read_text(), re.M)
    assert len(found) == path.read_text().count('::') <= 1
    is_sister = path.stem.startswith(SISTERS)  # whose package is there if the config is used
    assert set(found) <= ({'mmpretrain', 'mmrotate', 'mmpose'} if is_sister else {'mmdet'})
    whole = path.parent.name == 'recipes' or path.stem.endswith('_p6')
    assert not found or whole or is_sister


@every_config
def test_weights_are_published_for_the_size(name):
    """Or the docstring says where the file comes from, which a browser alone can fetch."""
    backbone, doc = config(name).model.backbone, ast.parse((ROOT / f'{name}.py').read_text())
    doc = ' '.join(ast.get_docstring(doc).split())
    family, url = backbone.type.removeprefix('mmbackbones.'), backbone.init_cfg.checkpoint
    arch = ARCHS.get(size := NAME.fullmatch(name)['size'], size)
    labels = {weights.url: label for label, weights in PUBLISHED[family][arch].items()}
    if url not in labels:
        assert (family, url) == ('Container', f'checkpoints/container_{arch}.pth')
        assert 'put the file that https://github.com/allenai/container links to there' in doc
    assert labels.get(url, '1K').startswith('2') == ('(ImageNet-2' in doc)


@every_config
def test_images_are_normalised_as_the_weights_expect_them(name):
    assert foreign_normalization(config(name)) is None
    assert normalization_of(config(name))


@every_config
def test_a_config_is_found_by_its_backbone_without_running_it(name):
    backbone = config(name).model.backbone
    found = configs_of(backbone.type.removeprefix('mmbackbones.'))
    own = isinstance(backbone.arch, dict)  # is of no published size
    assert name in found[None if own else backbone.arch]


@pytest.mark.parametrize('name', [name for name in CONFIGS if published(name)])
def test_parameter_count(name):
    count = sum(p.numel() for p in model(name).parameters())
    assert published(name) in (count, round(count / 1e6))


def test_every_published_count_and_size_has_its_configs():
    found = {NAME.fullmatch(name).group('method', 'family', 'size') for name in CONFIGS}
    assert found >= COUNTS.keys()
    sizes = {key[1:] for key in found}
    methods = ('mask_rcnn', 'retinanet', 'upernet')
    assert found >= {(method, *size) for method in methods for size in sizes}


@every_config
def test_heads_take_what_the_backbone_gives(name):
    cfg = config(name).model
    with torch.device('meta'):  # alone: a whole model takes a while
        channels = list(MODELS.build(dict(cfg.backbone, init_cfg=None)).out_channels)
    part = next(part for part in ('neck', 'panoptic_head', 'decode_head') if part in cfg)
    assert cfg[part].in_channels == channels
    if part != 'decode_head':
        return
    if 'auxiliary_head' in cfg:
        assert cfg.auxiliary_head.in_channels == channels[cfg.auxiliary_head.in_index]
    assert cfg.data_preprocessor.size == config(name).crop_size


def test_weights_and_channels_of_backbones_stand_once():
    found = {path.stem: Config.fromfile(path) for path in ROOT.glob('_base_/backbones/*.py')}
    used = {config(name).backbone.init_cfg.checkpoint for name in CONFIGS}
    assert used == {cfg.backbone.init_cfg.checkpoint for cfg in found.values()}
    assert len(used) == len(found)
    for name in CONFIGS:
        code = (ROOT / f'{name}.py').read_text().split('"""')[2]
        assert not re.search(r"checkpoint=['\"]|in_channels=\[", code), name
    for name, cfg in found.items():
        with torch.device('meta'):
            net = MODELS.build(dict(cfg.backbone, init_cfg=None))
        assert cfg.channels == list(net.out_channels)
        norms = any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
        assert cfg.get('sync_bn') == ('torch' if norms else None), name


@every_config
def test_maps_that_no_head_reads_are_left_out(name):
    three = ('retinanet', 'cascade_mask_rcnn_maxvit', 'dino_4scale', 'rtmdet')
    expected = (1, 2, 3) if name.startswith(three) else (0, 1, 2, 3)
    expected = (3,) if name.startswith('detr') else expected
    expected = (1, 2, 3, 4) if name.endswith('_p6') else expected
    assert config(name).model.backbone.get('out_indices', (0, 1, 2, 3)) == expected


@every_config
def test_trained_with_adamw(name):
    cfg = config(name)
    optimizer = cfg.optim_wrapper.optimizer
    own = [recipe for start, recipe in RECIPES.items() if name.startswith(start)]
    recipe = (6e-5, 0.01) if name.startswith('upernet') else (1e-4, 0.05)
    recipe = (1e-4, 1e-4) if name.startswith('dino') else recipe
    recipe = (1e-3, 0.05) if name.startswith('rtmdet') else recipe
    assert optimizer.type == 'AdamW'
    assert (optimizer.lr, optimizer.weight_decay) == pytest.approx(own[0] if own else recipe)
    assert 'SGD' not in texts(cfg.to_dict())
    gpus = 4 if name.startswith('rtmdet') else 16 // min(2, cfg.train_dataloader.batch_size)
    assert cfg.auto_scale_lr.base_batch_size == gpus * cfg.train_dataloader.batch_size


def undecayed(wrapper):
    """The ids of the parameters that the optimizer leaves without decay."""
    groups = [group for group in wrapper.param_groups if group['weight_decay'] == 0]
    return {id(parameter) for group in groups for parameter in group['params']}


@pytest.mark.parametrize('name', one_per_family_and_method())
def test_no_decay_on_norms_and_position_biases_of_the_backbone(name):
    net = model(name)
    wrapper = build_optim_wrapper(net, config(name).optim_wrapper)
    leaves = ('relative_position_bias_table', 'logit_scale', 'pos_embed', 'gamma')
    expected = {
        id(p)
        for n, p in net.backbone.named_parameters()
        if n.endswith(leaves) or 'cpb_mlp' in n or re.search(r'norm\d?\.', n)
    }
    norms = [m for m in net.backbone.modules() if isinstance(m, nn.LayerNorm)]
    assert expected >= {id(p) for norm in norms for p in norm.parameters()}
    decays = BY_FILE[NAME.fullmatch(name)['family']].decays_norms and not name.startswith(OTHERS)
    everything = decays or name.startswith(('detr', 'dino'))  # is decayed, as their authors do
    ids = {id(p) for p in net.backbone.parameters()}
    found = undecayed(wrapper) & ids if name.startswith(OTHERS) else undecayed(wrapper)
    if name.startswith('rtmdet'):  # norms by their classes, and every bias
        expected = {id(p) for n, p in net.backbone.named_parameters() if n.endswith('.bias')}
        kinds = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
        norms = [m for m in net.backbone.modules() if isinstance(m, kinds)]
        expected |= {id(p) for norm in norms for p in norm.parameters()}
    assert found == (set() if everything else expected)


@pytest.mark.parametrize('size', 'tsbl')
def test_rates_of_swin_v2_fall_towards_the_image(size):
    net, cfg = model(f'upernet_swin_v2_{size}'), config(f'upernet_swin_v2_{size}')
    groups = build_optim_wrapper(net, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(group['params'][0]): group['lr'] for group in groups}
    layers = sum(len(stage.blocks) for stage in net.backbone.stages) + 2
    assert rates[id(net.backbone.stem.proj.weight)] == pytest.approx(4e-5 * 0.95 ** (layers - 1))
    assert rates[id(net.decode_head.conv_seg.weight)] == 4e-5


@pytest.mark.parametrize('name', one_per_family_and_method())
def test_schedulers_cover_the_training_and_build(name):
    cfg = config(name)
    wrapper = build_optim_wrapper(model(name), cfg.optim_wrapper)
    schedulers = cfg.param_scheduler
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    for scheduler in schedulers:
        epochs = dict(epoch_length=100) if scheduler.by_epoch else {}
        PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=wrapper, **epochs))
    assert schedulers[-1].end == cfg.train_cfg.get('max_epochs', cfg.train_cfg.get('max_iters'))


@every_config
def test_pipelines_and_datasets_build(name):
    if 'panoptic' in name:
        pytest.importorskip('panopticapi', reason='mmdet reads such annotations with it')
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
        assert dataset.type == DATASET.get(NAME.fullmatch(name)['method'], 'CocoDataset')
        assert plain(dataset.pipeline) == plain(cfg[f'{pipeline}_pipeline'])
        assert dataset.data_root == cfg.data_root


@every_config
def test_tta_exists_where_it_can_merge(name):
    cfg = config(name)
    none = re.match('.*mask_rcnn|mask2former_(?!semantic)|dino', name)  # mmdet has none for DINO
    assert ('tta_model' in cfg) == (none is None)
    assert ('tta_model' in cfg) == ('tta_pipeline' in cfg)


@every_config
def test_runtime_keeps_the_best_checkpoint(name):
    hook = config(name).default_hooks.checkpoint.copy()
    assert hook.pop('type') == 'CheckpointHook'
    assert CheckpointHook(**hook).max_keep_ckpts == 3
    assert hook.save_best == BEST.get(NAME.fullmatch(name)['method'], 'coco/bbox_mAP')


# mmdet's own detectors with ResNet-50 have as many.
YARDSTICKS = dict(mask_rcnn=44_396_336, retinanet=37_968_692, upernet=66_496_876)


@pytest.mark.parametrize('method', YARDSTICKS)
def test_the_yardstick_differs_in_the_backbone_alone(method, monkeypatch):
    name = f'yardstick/{method}_r50'
    assert sum(p.numel() for p in model(name).parameters()) == YARDSTICKS[method]
    ours, its = (copy.deepcopy(config(each)) for each in (f'{method}_swin_t', name))
    for cfg in (ours, its):
        del cfg.model.backbone
        for copied in ('backbone', 'channels'):
            cfg.pop(copied, None)
        for part in ('neck', 'decode_head', 'auxiliary_head'):
            cfg.model.get(part, {}).pop('in_channels', None)
    assert its.to_dict() == ours.to_dict()
    cfg = copy.deepcopy(config(name))
    adapt(cfg)
    backbone = cfg.model.backbone
    assert not backbone.get('init_cfg')
    assert (backbone.frozen_stages, backbone.norm_eval) == (-1, False)
