"""What a checkpoint has and a net could lose in silence: norms, windows, values on no device."""

import copy
import logging
import pickle
import re

import pytest
import torch
from families import TINY, build, every_class
from recording import TOLERANCE, Recording
from torch import nn

from mmbackbones import CheckpointError, DaViT, SwinTransformer, SwinTransformerV2, load_checkpoint
from mmbackbones.models.swin_v2 import log_offsets
from mmbackbones.registry import MODELS
from mmbackbones.weights import loading

NORM3 = ['norm3.weight', 'norm3.bias']
FOUR = dict(dims=(8, 16, 32, 64), depths=(2, 2, 2, 2), heads=(1, 1, 2, 2))


@pytest.fixture
def log(monkeypatch):
    """[(level, line)] of what loading says."""
    lines = []
    monkeypatch.setattr(
        loading, 'print_log', lambda text, logger, level=logging.INFO: lines.append((level, text))
    )
    return lines


def warnings_of(log):
    return [text for level, text in log if level == logging.WARNING]


def save(folder, content):
    torch.save(content, folder / 'file.pth')
    return folder / 'file.pth'


def by_file(net, state, folder):
    load_checkpoint(net, save(folder, state))


def by_init_cfg(net, state, folder):
    net.init_cfg = dict(type='Pretrained', checkpoint=str(save(folder, state)))
    net.init_weights()


def by_state_dict(net, state, folder):
    net.load_state_dict(dict(state))


def by_detector(net, state, folder):
    """As a whole model's file, with the backbone in its model."""
    whole = nn.ModuleDict(dict(backbone=net, head=nn.Linear(2, 2)))
    state = {f'backbone.{name}': tensor for name, tensor in state.items()}
    load_checkpoint(
        whole, save(folder, state | {'head.weight': torch.ones(2, 2), 'head.bias': torch.ones(2)})
    )


def with_one_norm(state):
    """The file of a net with one output, the last."""
    others = re.compile(r'(backbone\.)?norm[012]\.')
    return {name: tensor for name, tensor in state.items() if not others.match(name)}


@pytest.mark.parametrize(
    ('file', 'load'),
    [
        ('swin_tiny_mmdet', by_file),
        ('swin_tiny_mmdet', by_init_cfg),
        ('swin_tiny_mmdet', by_state_dict),
        ('swin_tiny_mmdet', by_detector),
        ('swin_tiny_dense', by_file),
        ('davit_tiny_dense', by_file),
    ],
)
def test_the_norm_of_the_only_output_is_loaded(file, load, tmp_path):
    recording = Recording(file)
    kind = DaViT if 'davit' in file else SwinTransformer
    net = kind('tiny', out_indices=(3,)).eval()
    load(net, with_one_norm(recording.state_dict()), tmp_path)
    case = recording.cases[-1]
    with torch.no_grad():
        (out,) = net(recording.image(case))
    wanted = next(w for w in case['outputs'] if w['level'] == 3 and w['tap'] == 'norm')
    assert recording.error(out, wanted) < TOLERANCE


@pytest.mark.parametrize(
    ('kind', 'file'),
    [
        (SwinTransformer, 'swin_tiny_mmdet'),
        (SwinTransformerV2, 'swinv2_tiny_mmpretrain'),
        (DaViT, 'davit_tiny_mmpretrain'),
    ],
)
def test_the_norm_of_a_classifier_of_mmpretrain(kind, file, tmp_path):
    state = with_one_norm(Recording(file).state_dict())
    path = save(tmp_path, state)
    with torch.device('meta'):
        nets = [kind('tiny', out_indices=indices) for indices in ((3,), (0, 1, 2, 3), (1, 2))]
    for net in nets:
        report = load_checkpoint(net, path)
        assert report.format == 'mmpretrain'
        if 3 in net.out_indices:
            assert not set(NORM3) & {*report.new, *report.dropped}
            theirs = {name.removeprefix('backbone.'): tensor for name, tensor in state.items()}
            assert all(torch.equal(net.state_dict()[name], theirs[name]) for name in NORM3)
        else:
            assert set(NORM3) <= set(report.dropped)
            assert 'norm3' in str(report)
    assert ('do not shift a map of one window' in str(report)) == (kind is SwinTransformer)


def test_the_norms_beside_the_swin_of_maskformer(tmp_path):
    """Hugging Face's has `model.embeddings` and `model.encoder`, and `hidden_states_norms`."""
    state = {}
    for name, tensor in Recording('swin_tiny_hf').state_dict().items():
        if not name.startswith('classifier'):
            state[f'net.encoder.model.{name.removeprefix("swin.")}'] = tensor
    norms = {
        f'norm{i}.{kind}': torch.rand(96 * 2**i) for i in range(4) for kind in ('weight', 'bias')
    }
    for name, tensor in norms.items():
        state[f'net.encoder.hidden_states_norms.{name[4:]}'] = tensor
    state['net.decoder.hidden_states_norms.0.weight'] = torch.ones(96)
    path = save(tmp_path, state)
    for prefix in ('net.encoder.model', 'net.encoder.model.'):
        with torch.device('meta'):
            net = SwinTransformer('tiny')
        report = load_checkpoint(net, path, prefix=prefix)
        assert (report.format, report.new) == ('Hugging Face', [])
        assert all(torch.equal(net.state_dict()[name], norms[name]) for name in norms)
        assert 'net.decoder.hidden_states_norms.0.weight' in report.dropped


def on_meta(name, **arguments):
    with torch.device('meta'):
        return MODELS.get(name)(**(TINY[name] | arguments)).eval()


def equal(net, other, image):
    with torch.no_grad():
        return all(torch.equal(*pair) for pair in zip(net(image), other(image), strict=True))


@every_class
def test_a_net_needs_its_state_dict_alone(name):
    """Built without values, as transformers and FSDP do, it computes what the saved one does."""
    net, image = build(name).eval(), torch.randn(1, 3, 70, 90)
    emptied, assigned = on_meta(name), on_meta(name)
    emptied.to_empty(device='cpu')
    for tensor in [*emptied.parameters(), *emptied.buffers()]:
        tensor.data.fill_(float('nan') if tensor.is_floating_point() else 7)
    emptied.load_state_dict(net.state_dict())
    assigned.load_state_dict(net.state_dict(), assign=True)
    for each in (emptied, assigned):
        assert equal(each, net, image)
        assert equal(copy.deepcopy(each), net, image)
        assert equal(pickle.loads(pickle.dumps(each)), net, image)
        assert {n for n, _ in each.named_buffers()} <= each.state_dict().keys()


def test_offsets_of_swin_v2_are_worked_out_once():
    net = build('SwinTransformerV2')
    first, second = (block.attn.bias.offsets for block in net.stages[0].blocks)
    assert first is second
    assert torch.equal(first, log_offsets(4, 4, 'cpu'))
    assert net.double().stages[0].blocks[0].attn.bias.offsets.dtype == torch.double


@every_class
def test_a_file_is_loaded_into_a_net_without_values(name, tmp_path):
    saved, image = build(name).eval(), torch.randn(1, 3, 70, 90)
    norms = [n for n in saved.state_dict() if n.startswith('norm')]
    for lost in ([], norms):
        state = {n: t for n, t in saved.state_dict().items() if n not in lost}
        net = on_meta(name, frozen_stages=1)
        report = load_checkpoint(net, save(tmp_path, state))
        assert len(report.loaded) == len(state)
        assert not any(tensor.is_meta for tensor in net.state_dict().values())
        for i in net.out_indices if lost else ():
            getattr(saved, f'norm{i}').reset_parameters()
        assert equal(net, saved, image)
        trains = {n: p.requires_grad for n, p in on_meta(name, frozen_stages=1).named_parameters()}
        assert {n: p.requires_grad for n, p in net.named_parameters()} == trains


class Whole(nn.Module):
    """A model with a backbone, tensors of its own, and one layer in two places."""

    def __init__(self):
        super().__init__()
        self.backbone, self.norm = MODELS.get('SwinTransformer')(FOUR), nn.BatchNorm2d(3)
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight


def test_a_whole_model_without_values(tmp_path):
    saved = Whole()
    state = {n: t for n, t in saved.state_dict().items() if not n.endswith('num_batches_tracked')}
    with torch.device('meta'):
        model, other = Whole(), Whole()
    load_checkpoint(model, save(tmp_path, state))
    for name, tensor in saved.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    assert model.second.weight is model.first.weight
    other.register_buffer('mean', torch.zeros(3, device='meta'), persistent=False)
    with pytest.raises(CheckpointError, match=r'lacks mean, of which this Whole has no values'):
        load_checkpoint(other, tmp_path / 'file.pth')
    assert all(p.is_meta for p in other.parameters())
    del state['first.bias']
    with pytest.raises(CheckpointError, match=r'lacks 1 tensors \(first\.bias\)'):
        load_checkpoint(other, save(tmp_path, state))
    assert all(p.is_meta for p in other.parameters())


def test_stages_that_no_file_has_cannot_start_without_values(tmp_path):
    saved = SwinTransformer(FOUR)
    arch = dict(dims=(8, 16, 32, 64, 64), depths=(2,) * 5, heads=(1, 1, 2, 2, 2))
    with torch.device('meta'):
        net = SwinTransformer(arch)
    with pytest.raises(CheckpointError, match=r'lacks stages\.4.* being on the meta device'):
        load_checkpoint(net, save(tmp_path, saved.state_dict()))
    assert all(p.is_meta for p in net.parameters())


@pytest.mark.parametrize('size', [5, [3, 4, 5, 2], (3, 4, 5, 2)])
def test_windows_of_swin_are_one_number_or_one_per_stage(size):
    net = SwinTransformer(FOUR, window_size=size)
    found = [stage.blocks[0].attn.size for stage in net.stages]
    assert found == ([5] * 4 if size == 5 else list(size))
    assert [stage.blocks[1].attn.shift for stage in net.stages] == [each // 2 for each in found]
    with pytest.raises(ValueError, match=r'window_size is .*; give one number or 4, from 1 up'):
        SwinTransformer(FOUR, window_size=(7, 7, 7))


@pytest.mark.parametrize('load', [by_file, by_init_cfg, by_state_dict])
def test_other_windows_of_a_swin_are_a_warning(load, log, tmp_path):
    state = SwinTransformer(FOUR, window_size=(3, 3, 5, 3)).state_dict()
    load(SwinTransformer(FOUR, window_size=(3, 3, 5, 3)), state, tmp_path)
    assert not warnings_of(log)
    load(SwinTransformer(FOUR, window_size=3), state, tmp_path)
    (warning,) = warnings_of(log)
    words = 'trained with window_size=(3, 3, 5, 3), this SwinTransformer has window_size=3, so'
    assert words in warning
    assert log[-2][1].endswith('; trained with window_size=(3, 3, 5, 3), here window_size=3')
    assert 'resized' in log[-2][1]


def test_a_net_of_fewer_stages_has_their_windows_alone(log, tmp_path):
    path = save(tmp_path, SwinTransformer(FOUR, window_size=(3, 3, 5, 3)).state_dict())
    report = load_checkpoint(SwinTransformer(FOUR, window_size=3, out_indices=(1,)), path)
    assert report.windows == {0: 3, 1: 3, 2: 5, 3: 3}
    assert not warnings_of(log)


def test_tables_of_maxvit_show_windows(log, tmp_path):
    path = save(tmp_path, MODELS.get('MaxViT')(**TINY['MaxViT'], window_size=3).state_dict())
    for window, trained, noted, warned in (
        (3, None, 0, 0),
        (5, None, 1, 1),
        (5, 3, 1, 0),
        (5, 2, 1, 1),
    ):
        net = MODELS.get('MaxViT')(
            **TINY['MaxViT'], window_size=window, pretrained_window_size=trained
        )
        log.clear()
        report = load_checkpoint(net, path)
        assert ('trained with window_size=3, here' in str(report)) == noted
        assert len(warnings_of(log)) == warned


def v2_file(windows, trained):
    """What Swin V2's authors save with these windows, their buffers among it."""
    net = SwinTransformerV2(
        dict(FOUR, norm_every=None), window_size=windows, pretrained_window_size=trained
    )
    for name, tensor in net.state_dict().items():
        name = name.replace('stages.', 'layers.').replace('attn.bias.', 'attn.')
        name = name.replace('stem.', 'patch_embed.')
        stage = int(name.split('.')[1]) if 'layers' in name else None
        if 'downsample' in name:
            name = name.replace(f'layers.{stage}', f'layers.{stage - 1}')
        yield name, tensor
        if name.endswith('logit_scale'):
            offsets = log_offsets(windows[stage], trained[stage], 'cpu')
            yield name.replace('logit_scale', 'relative_coords_table'), offsets[None]
            index = torch.zeros(windows[stage] ** 2, windows[stage] ** 2, dtype=torch.long)
            yield name.replace('logit_scale', 'relative_position_index'), index


CASES = {
    'as published': ((8, 8, 8, 4), (8, 8, 8, 4), dict(window_size=(8, 8, 8, 4)), 0, 0),
    'smaller here': ((8, 8, 8, 8), (8, 8, 8, 8), dict(window_size=16), 1, 1),
    'asked for': ((8,) * 4, (8,) * 4, dict(window_size=16, pretrained_window_size=8), 1, 0),
    'asked in part': (
        (8, 8, 8, 4),
        (8, 8, 8, 4),
        dict(window_size=8, pretrained_window_size=(8, 8, 8, 4)),
        1,
        0,
    ),
    'wrongly asked': ((8,) * 4, (8,) * 4, dict(window_size=16, pretrained_window_size=12), 1, 1),
    'trained with others': ((8,) * 4, (6, 6, 6, 3), dict(window_size=8), 1, 1),
    'trained with others, as here': (
        (8,) * 4,
        (6, 6, 6, 3),
        dict(window_size=8, pretrained_window_size=(6, 6, 6, 3)),
        0,
        0,
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_windows_of_swin_v2_are_seen_in_the_tables_that_are_dropped(case, log, tmp_path):
    windows, trained, here, noted, warned = CASES[case]
    net = SwinTransformerV2(dict(FOUR, norm_every=None), **here)
    report = load_checkpoint(net, save(tmp_path, dict(v2_file(windows, trained))))
    assert (report.format, report.windows) == ('official', dict(enumerate(windows)))
    assert ('; trained with window_size=' in str(report)) == noted
    assert len(warnings_of(log)) == warned
    if case == 'trained with others':
        words = 'window_size=8, pretrained_window_size=(6, 6, 6, 3), this SwinTransformerV2 has'
        assert words in warnings_of(log)[0]


@pytest.mark.parametrize('name', ['swinv2_tiny_w8_timm', 'davit_tiny_timm'])
def test_files_that_do_not_show_their_windows(name, tmp_path):
    with torch.device('meta'):
        net = (DaViT if 'davit' in name else SwinTransformerV2)('tiny')
    report = load_checkpoint(net, save(tmp_path, Recording(name).state_dict()))
    assert str(report).endswith('; its windows are not in the file')


@pytest.mark.parametrize('buffer', ['relative_coords_table', 'relative_position_index'])
@pytest.mark.parametrize(
    'file', ['swinv2_tiny_w8_cls', 'swinv2_tiny_mmpretrain', 'swinv2_tiny_torchvision']
)
def test_every_publisher_of_swin_v2_shows_its_windows(file, buffer, tmp_path):
    """By shape alone here: recordings have zeros for what nobody reads."""
    state = Recording(file).state_dict()
    state = {n: t for n, t in state.items() if 'relative' not in n or n.endswith(buffer)}
    with torch.device('meta'):
        net = SwinTransformerV2('tiny', window_size=16)
    report = load_checkpoint(net, save(tmp_path, state))
    assert report.windows == dict.fromkeys(range(4), 8)
    assert 'trained with window_size=8, here window_size=16' in str(report)
