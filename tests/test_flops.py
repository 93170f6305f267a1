"""The FLOPs of the published classifiers, and the tool that counts them."""

from pathlib import Path

import pytest
import torch
from families import FAMILIES, NAMES
from lib.flops import WithoutProducts, build, count, count_dense, passing
from mmengine.config import Config

from mmbackbones import DaViT
from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent
# What the authors report, in G, for images of this side. Their maps fill their windows, so that
# nothing depends on padding.
PUBLISHED = [(name, *row) for name in NAMES for row in FAMILIES[name].flops]


@pytest.mark.parametrize(('name', 'arch', 'kwargs', 'side', 'published'), PUBLISHED)
def test_flops_are_those_of_the_papers(name, arch, kwargs, side, published):
    with torch.device('meta'):
        net = MODELS.get(name)(arch, **kwargs).eval()
        image = torch.empty(1, 3, side, side)
    assert count(lambda: net(image))['Global'] / 1e9 == pytest.approx(published, rel=0.025)


@pytest.mark.parametrize('name', NAMES)
def test_flops_are_the_same_without_products(name):
    arch = next(iter(MODELS.get(name).archs))
    net, image = MODELS.get(name)(arch).eval(), torch.rand(1, 3, 65, 50)
    products = count(lambda: net(image))
    with WithoutProducts():
        assert count(lambda: net(image)) == products
        assert not (image.flatten(2) @ image.flatten(2).mT).any()
        assert torch.equal(image + 1, image.add(1))


def test_the_tool_shows_all_sizes_of_a_backbone(call_tool):
    _, output, _ = call_tool('get_flops', 'DaViT', '--shape', 224, 224)
    rows = [line.split() for line in output.splitlines() if line.endswith('G')]
    assert ['tiny', '27,592,512', '4.5G'] in rows
    assert len(rows) == len(DaViT.archs) == 8


def test_the_tool_shows_the_parts_of_a_model(call_tool):
    pytest.importorskip('mmdet')
    config = ROOT / 'configs/mask_rcnn_swin_t.py'
    _, output, _ = call_tool('get_flops', config, '--shape', 64, 64)
    rows = {line.split()[0]: line.split() for line in output.splitlines() if 'param' in line}
    assert rows['whole'][1] == '47,794,602'
    flops = {name: float(row[3].rstrip('G')) for name, row in rows.items()}
    assert all(flops.values())
    assert flops.pop('whole') == pytest.approx(sum(flops.values()), abs=0.3)


def test_the_tool_names_what_it_does_not_know(call_tool):
    code, _, errors = call_tool('get_flops', 'ResNet')
    assert code == 2
    assert 'ResNet is neither a config file nor one of' in errors


def test_the_tool_takes_what_mmsegs_takes(call_tool):
    options = ('--shape', 224, '--cfg-options', 'window_size=12')
    _, output, _ = call_tool('get_flops', 'SwinTransformer', *options)
    assert '224 x 224' in output
    assert '27,570,378' in output  # the larger tables
    _, _, errors = call_tool('get_flops', 'SwinTransformer', '--shape', 1, 2, 3)
    assert 'give height and width, or one side' in errors


@pytest.mark.parametrize(('name', 'scope'), [('mask_rcnn', 'mmdet'), ('upernet', 'mmseg')])
def test_models_are_counted_with_little_arithmetic(name, scope):
    """On the meta device, or, where it has no numbers for boxes, with zeros for products."""
    pytest.importorskip(scope)
    model = build(Config.fromfile(ROOT / f'configs/{name}_swin_t.py'))
    with WithoutProducts():
        wanted = count(passing(model, scope, (64, 96)))
    assert count_dense(model, scope, (64, 96)) == wanted
    assert next(model.parameters()).device.type == 'cpu'
