"""Layer-wise learning rates, from a config, for whole detectors."""

import pytest
import torch
from conftest import ROOT
from families import NAMES, TINY, build
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmbackbones.backbone import Stage
from mmbackbones.layers import LayerNorm
from mmbackbones.registry import MODELS

CONSTRUCTOR = 'mmbackbones.LearningRateDecayOptimWrapperConstructor'
OPTIMIZER = dict(type='AdamW', lr=1e-3, weight_decay=0.05)


class Detector(torch.nn.Module):
    """A backbone and a head."""

    def __init__(self, name):
        super().__init__()
        self.backbone, self.head = build(name, frozen_stages=1), torch.nn.Linear(2, 2)


def wrapper(model, **paramwise):
    """The optimizer wrapper of a config, as a runner builds it."""
    cfg = dict(type='OptimWrapper', optimizer=OPTIMIZER, constructor=CONSTRUCTOR)
    return build_optim_wrapper(model, dict(cfg, paramwise_cfg=paramwise))


@pytest.mark.parametrize('scope', ['mmengine', 'mmdet', 'mmseg'])
@pytest.mark.parametrize('name', sorted(TINY))
def test_rates_fall_towards_the_image(name, scope):
    pytest.importorskip(scope)
    model = Detector(name)
    keys = dict(norm=dict(decay_mult=0.0), up=dict(lr_mult=2.0))
    with DefaultScope.overwrite_default_scope(scope):
        groups = wrapper(model, layer_decay_rate=0.5, custom_keys=keys).optimizer.param_groups
    found = {id(group['params'][0]): group for group in groups}
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert found.keys() == {id(p) for p in trained.values()}
    for parameter, p in trained.items():
        depth, layers = model.backbone.get_layer_depth(parameter, 'backbone.')
        factor = 2 if 'norm' not in parameter and 'up' in parameter else 1
        factor *= 1 if parameter.startswith('head') else 0.5 ** (layers - 1 - depth)
        assert found[id(p)]['lr'] == pytest.approx(1e-3 * factor), parameter
        assert found[id(p)]['weight_decay'] == (0 if 'norm' in parameter else 0.05), parameter


@pytest.mark.parametrize('paramwise', [{}, dict(layer_decay_rate=0), dict(layer_decay_rate=2)])
def test_a_missing_or_senseless_rate_is_named(paramwise):
    with pytest.raises(ValueError, match=r'layer_decay_rate is (None|0|2); give a number above 0'):
        wrapper(Detector('SwinTransformer'), **paramwise)


def test_the_log_has_the_rates_that_hold(monkeypatch):
    lines = []

    def log(text, **_):
        lines.append(text.removeprefix('paramwise_options -- '))

    monkeypatch.setattr('mmengine.optim.optimizer.default_constructor.print_log', log)
    model = Detector('SwinTransformer')
    groups = wrapper(model, layer_decay_rate=0.5).optimizer.param_groups
    rates = {id(group['params'][0]): group['lr'] for group in groups}
    names = {name: rates[id(p)] for name, p in model.backbone.named_parameters() if id(p) in rates}
    assert len(set(names.values())) > 2
    assert {f'backbone.{name}:lr={rate}' for name, rate in names.items()} <= set(lines)


def test_a_family_may_count_layers_in_its_own_way(monkeypatch):
    """As ConvNeXt's authors, who take three blocks as one layer."""
    model = Detector('SwinTransformer')
    monkeypatch.setattr(type(model.backbone), 'get_layer_depth', lambda self, name: (3, 5))
    groups = wrapper(model, layer_decay_rate=0.5).optimizer.param_groups
    rates = {id(group['params'][0]): group['lr'] for group in groups}
    trained = [p for p in model.backbone.parameters() if p.requires_grad]
    assert {rates[id(p)] for p in trained} == {5e-4}
    assert {rates[id(p)] for p in model.head.parameters()} == {1e-3}


class Scaled(torch.nn.Module):
    """A block of a family that none is yet: a norm and a layer scale."""

    def __init__(self, dim):
        super().__init__()
        self.norm, self.gamma = LayerNorm(dim), torch.nn.Parameter(torch.ones(dim))
        self.fc = torch.nn.Linear(dim, dim)


def deepest(name):
    """The size of a class with the most blocks, without memory."""
    archs = MODELS.get(name).archs
    with torch.device('meta'):
        return MODELS.get(name)(max(archs, key=lambda arch: max(archs[arch]['depths'])))


SCHEDULES = {'adamw': {}, 'slow_backbone': dict(lr_mult=0.1)}


@pytest.mark.parametrize('schedule', SCHEDULES)
@pytest.mark.parametrize('name', [*NAMES, None])
def test_no_depth_and_no_layer_scale_escapes_the_rules_of_decay(name, schedule):
    cfg = Config.fromfile(ROOT / f'configs/_base_/schedules/{schedule}.py')
    keys = cfg.get('custom_keys') or cfg.optim_wrapper.paramwise_cfg.custom_keys
    model = torch.nn.Module()
    if name:
        model.backbone = deepest(name)
    else:  # as deep as ConvNeXt's third stage
        model.backbone = torch.nn.Module()
        model.backbone.stages = torch.nn.ModuleList([Stage([Scaled(2) for _ in range(27)])])
    paramwise = dict(custom_keys=keys)
    cfg = dict(type='OptimWrapper', optimizer=OPTIMIZER, paramwise_cfg=paramwise)
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    found = {id(group['params'][0]): group for group in groups}
    norms = (torch.nn.LayerNorm, torch.nn.modules.batchnorm._BatchNorm)
    free = {id(p) for m in model.modules() if isinstance(m, norms) for p in m.parameters()}
    free |= {id(p) for path, p in model.named_parameters() if path.endswith('.gamma')}
    assert free
    for path, p in model.backbone.stages.named_parameters():
        group = found[id(p)]
        assert group['lr'] == pytest.approx(1e-3 * SCHEDULES[schedule].get('lr_mult', 1)), path
        if id(p) in free or (path.endswith(('.weight', '.bias')) and 'cpb_mlp' not in path):
            assert group['weight_decay'] == (0 if id(p) in free else 0.05), path
