"""Layer-wise learning rates, from a config, for whole detectors."""

import pytest
import torch
from families import TINY, build
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

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
