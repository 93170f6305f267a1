"""The recorder: what it writes is read back, and tells one network from another."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import record
import record_whole
import torch
from families import TINY
from recording import TOLERANCE, Recording
from torch import nn

from mmbackbones import load_checkpoint
from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent
SIZES = ('--size', '64', '64', '--size', '2', '61', '97')


class Classifier(nn.Module):
    """A small backbone as it is published: with a head, and a buffer that is no weight."""

    def __init__(self, name, **kwargs):
        super().__init__()
        self.backbone = MODELS.get(name)(**(TINY[name] | kwargs))
        self.head = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
        self.register_buffer('index', torch.arange(3))

    def forward(self, x):
        return self.head(self.backbone(x)[-1].mean((2, 3))[:, :2])


def classifier(name, **kwargs):
    """The network and the function to its levels, as record.py asks for them."""
    net = Classifier(name, **kwargs)
    return net, net.backbone


def recorded(path, *arguments):
    """What record.py writes."""
    source, name, *rest = arguments
    record.main([source, name, f'{path}.npz', *SIZES, *rest])
    return Recording(path)


def errors(recording, net, levels):
    """The errors of a network with the recorded weights, a dict for each image."""
    unread = [name for name, _, _, kind in recording.meta['keys'] if kind == 'buffer']
    weights = {n: t for n, t in recording.state_dict().items() if n not in unread}
    lacking = net.eval().load_state_dict(weights, strict=False)
    assert (lacking.missing_keys, lacking.unexpected_keys) == (unread, [])
    with torch.no_grad():
        return [recording.errors(case, levels(recording.image(case))) for case in recording.cases]


@pytest.mark.parametrize('name', ['MaxViT', 'SwinTransformer', 'VOLO'])
def test_a_recorded_network_equals_itself_and_a_changed_one_does_not(name, tmp_path):
    recording = recorded(tmp_path / 'own', 'test_recording:classifier', name)
    net, levels = classifier(name)
    same = errors(recording, net, levels)
    assert [list(each) for each in same] == [[0, 1, 2, 3]] * 2
    assert max(max(each.values()) for each in same) < TOLERANCE / 10
    activation = next(m for m in net.modules() if isinstance(m, nn.GELU))
    activation.approximate = 'none' if activation.approximate == 'tanh' else 'tanh'
    other = errors(recording, net, levels)
    assert min(each[3] for each in other) > TOLERANCE
    with torch.no_grad():
        next(net.backbone.stages[0].parameters()).add_(1e-2)
        moved = recording.errors(recording.cases[0], levels(recording.image(recording.cases[0])))
    assert min(moved.values()) > TOLERANCE


def test_a_recording_says_what_is_in_it(tmp_path):
    arguments = ('--arguments', '{"out_indices": [1, 3]}', '--note', 'small', '--tap', 'norm')
    recording = recorded(tmp_path / 'max', 'test_recording:classifier', 'MaxViT', *arguments)
    meta, net = recording.meta, classifier('MaxViT')[0]
    assert [name for name, *_ in meta['keys']] == list(net.state_dict())
    kinds = {name: kind for name, _, _, kind in meta['keys']}
    assert kinds['index'] == 'buffer'
    assert kinds['backbone.stem.norm1.running_var'] == 'stat'
    assert kinds['backbone.stem.norm1.weight'] == 'param'
    assert meta['unused'] == [name for name in net.state_dict() if name.startswith('head.')]
    total = sum(t.double().square().sum().item() for t in recording.state_dict().values())
    assert meta['checksum']['sum_of_squares'] == pytest.approx(total, rel=1e-9)
    assert (meta['name'], meta['notes'], meta['primary']) == ('max', ['small'], 'norm')
    assert meta['arguments'] == dict(out_indices=[1, 3])
    assert [case['shape'] for case in recording.cases] == [[1, 3, 64, 64], [2, 3, 61, 97]]
    outputs = [out for case in recording.cases for out in case['outputs']]
    assert [(out['level'], out['stride']) for out in outputs] == [(1, 8), (3, 32)] * 2
    assert all(0 < out['noise'] < TOLERANCE for out in outputs)
    assert outputs[0]['shape'] == [1, 32, 8, 8]
    assert outputs[0]['std'] > 0.1


def strided(name):
    """A network of plain modules, whose maps are (B, H, W, C) between them."""
    first = nn.Sequential(nn.Conv2d(3, 8, 4, 4, 1), Turned((0, 2, 3, 1)))
    second = nn.Sequential(Turned((0, 3, 1, 2)), nn.Conv2d(8, 4, 2, 2), Turned((0, 2, 3, 1)))
    return nn.Sequential(first, second, nn.Linear(4, 2))


class Turned(nn.Module):
    def __init__(self, axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


def test_levels_are_found_by_the_names_of_modules(tmp_path):
    arguments = ('--levels', '0', '1', '--channels-last')
    recording = recorded(tmp_path / 'two', 'test_recording:strided', 'any', *arguments)
    assert recording.meta['unused'] == ['2.weight', '2.bias']
    net = strided('any')

    def levels(x):
        first = net[0](x)
        return [level.permute(0, 3, 1, 2) for level in (first, net[1](first))]

    assert max(max(each.values()) for each in errors(recording, net, levels)) < TOLERANCE / 10


STAGES = [f'stage{number}' for number in (1, 2, 3, 4)]
SMALL_SWIN = dict(embed_dim=8, depths=[1, 2, 1, 1], num_heads=[1, 1, 2, 2], window_size=2)
OF_HUGGING_FACE = {  # our class, more arguments of theirs, and what they hand out
    'swin': ('SwinTransformer', {}, 'raw'),
    'swinv2': ('SwinTransformerV2', dict(image_size=128), 'raw'),
    'maskformer-swin': ('SwinTransformer', dict(out_features=STAGES), 'norm'),
}


@pytest.mark.parametrize('name', OF_HUGGING_FACE)
def test_models_of_hugging_face_are_recorded_as_ours_read_them(name, tmp_path):
    pytest.importorskip('transformers')
    ours, more, tap = OF_HUGGING_FACE[name]
    words = ('--size', '128', '128', '--tap', tap, '--arguments', json.dumps(SMALL_SWIN | more))
    record.main(['transformers', name, str(tmp_path / 'theirs.npz'), *words])
    recording = Recording(tmp_path / 'theirs')
    arch = dict(dims=(8, 16, 32, 64), depths=(1, 2, 1, 1), heads=(1, 1, 2, 2))
    net = MODELS.get(ours)(arch, window_size=2).eval()
    torch.save(recording.state_dict(), tmp_path / 'theirs.pth')
    load_checkpoint(net, tmp_path / 'theirs.pth')
    for level in range(4 if tap == 'raw' else 0):
        setattr(net, f'norm{level}', nn.Identity())
    (case,) = recording.cases
    with torch.no_grad():
        assert max(recording.errors(case, net(recording.image(case))).values()) < TOLERANCE


def test_help_has_the_examples_as_they_stand(capsys):
    for module in (record, record_whole):
        with pytest.raises(SystemExit):
            module.main(['--help'])
        shown = capsys.readouterr().out
        examples = re.findall(r'^    python tests/.*', module.__doc__, re.M)
        assert len(examples) > 1
        assert set(examples) <= set(shown.splitlines())


def test_it_is_a_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / 'cli.npz'
    words = f'test_recording:strided any {out} --size 32 32 --levels 0 --channels-last'
    monkeypatch.setattr(sys, 'argv', ['record.py', *words.split()])
    monkeypatch.setattr(sys, 'path', [*sys.path])  # of which it makes a longer one
    runpy.run_path(record.__file__, run_name='__main__')
    assert capsys.readouterr().out.startswith('[1, 3, 32, 32] level 0 raw [1, 8, 8, 8] noise ')
    assert Recording(tmp_path / 'cli').meta['model'] == 'any'
