"""The experiments for a GPU change what they say, and no result."""

import sys

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT  # which finds the tools
from families import FAMILIES
from lib import gpu_experiments as experiments
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmbackbones.registry import MODELS

WINDOWS = ['SwinTransformer', 'SwinTransformerV2', 'MaxViT']  # those with biases or masks


def build(name, args=None, **kwargs):
    torch.manual_seed(0)
    return MODELS.get(name)(**FAMILIES[name].tiny | kwargs)


def watched(monkeypatch):
    """The strides of the masks that PyTorch's attention is given from now on."""
    attend, strides = F.scaled_dot_product_attention, []

    def function(q, k, v, attn_mask=None, **others):
        strides.append(None if attn_mask is None else attn_mask.stride()[:-1])
        return attend(q, k, v, attn_mask, **others)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', function)
    return strides


@pytest.mark.parametrize('name', WINDOWS)
def test_aligned_masks_have_rows_of_a_multiple_of_8(name, monkeypatch):
    net, image = build(name, window_size=7).eval(), torch.rand(1, 3, 100, 132)
    strides = watched(monkeypatch)
    with torch.no_grad():
        maps = net(image)
        assert any(step % 8 for each in strides if each for step in each)
        strides.clear()
        with experiments.aligned_masks() as used:
            assert experiments.difference(maps, net(image)) < 1e-6
    assert used
    assert not any(step % 8 for each in strides if each for step in each)


def test_cudnn_is_for_attention_without_masks(monkeypatch):
    image = torch.rand(1, 3, 64, 64)
    for name, uses in (('VOLO', True), ('SwinTransformer', False)):
        net = build(name).eval()
        with torch.no_grad(), experiments.cudnn_without_mask() as used:
            changed = net(image)
        assert bool(used) == uses
        assert experiments.difference(net(image), changed) < 1e-6


def test_the_guard_lets_queries_learn_where_only_biases_do(monkeypatch):
    net = build('SwinTransformer').requires_grad_(False)
    for module in net.modules():
        if experiments.has_bias_module(module):
            module.bias.requires_grad_(True)
    image = torch.rand(1, 3, 64, 64)
    expected = experiments.gradients(net, image)
    asked = []
    attend = F.scaled_dot_product_attention

    def function(q, k, v, attn_mask=None, **others):
        asked.append(q.requires_grad or not attn_mask.requires_grad)
        return attend(q, k, v, attn_mask, **others)

    module = sys.modules['mmbackbones.layers.attention']  # the function of that name hides it
    monkeypatch.setattr(module, 'in_parts', lambda q, mask: False)
    monkeypatch.setattr(F, 'scaled_dot_product_attention', function)
    with sdpa_kernel(SDPBackend.MATH), experiments.guard():
        found = experiments.gradients(net, image)
    assert asked
    assert all(asked)
    assert max(grad.abs().max() for grad in expected) > 1e-3
    assert experiments.difference(expected, found) < 1e-4


def test_each_backbone_gets_a_line(monkeypatch, capsys):
    monkeypatch.setattr(experiments, 'build', build)
    chosen = ['--device', 'cpu', '--quick', '--only', 'aligned', '--only', 'cudnn']
    monkeypatch.setattr(sys, 'argv', ['gpu_experiments', *chosen])
    experiments.main()
    tables = capsys.readouterr().out.split('cudnn\n')
    for table in tables:
        assert [name for name in FAMILIES if f'| {name} | ' not in table] == []
    assert [name for name in WINDOWS if f'| {name} | inference | ' not in tables[0]] == []
    assert '| VOLO | training | ' in tables[1]


def test_what_it_does_not_know_is_named(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['gpu_experiments', 'ResNet'])
    with pytest.raises(SystemExit, match='there is no backbone ResNet; choose from'):
        experiments.main()


def test_the_script_names_no_backbone():
    text = (ROOT / 'tools/gpu_check.sh').read_text()
    assert [name for name in FAMILIES if name in text] == []
