"""Checkpoints: every format by its full key list, resizing, and files that must be refused."""

import os
import pickle
import zipfile
from argparse import Namespace

import pytest
import torch
from families import FAMILIES, FLORENCE, NAMES, mmpretrain_classifier
from recording import Recording, save

from mmbackbones import (
    VOLO,
    CheckpointError,
    Container,
    DaViT,
    MaxViT,
    SwinTransformer,
    SwinTransformerV2,
    load_checkpoint,
)
from mmbackbones.layers import PatchMerging
from mmbackbones.registry import MODELS
from mmbackbones.weights.swin import from_unfold

NORMS = [f'norm{i}.{kind}' for i in range(4) for kind in ('weight', 'bias')]


@pytest.fixture(scope='module')
def published():
    """{source: flat checkpoint} of Swin-T with the key lists of published files."""
    names = {'official': 'cls', 'dense': 'dense', 'mmdet': 'mmdet', 'timm': 'timm'}
    return {name: Recording(f'swin_tiny_{file}').state_dict() for name, file in names.items()}


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def detector(state):
    """A whole detector, with optimizer state beside it as the official training saves it."""
    rest = {'neck.fpn.weight': torch.zeros(2), 'roi_head.fc.bias': torch.zeros(3)}
    return dict(meta=dict(epoch=12), state_dict=prefixed(state, 'backbone.') | rest, optimizer={})


def distributed(state):
    return dict(model=prefixed(state, 'module.'))


WRAPPED = [
    ('official', lambda s: dict(model=s), 'official', NORMS),
    ('official', distributed, 'official', NORMS),
    ('dense', lambda s: s, 'official', []),
    ('dense', detector, 'official', []),
    ('timm', lambda s: s, 'timm', NORMS),
    ('mmdet', lambda s: dict(state_dict=s), 'mmdet or mmseg', []),
    ('mmdet', detector, 'mmdet or mmseg', []),
    ('mmdet', mmpretrain_classifier, 'mmpretrain', NORMS[:6]),
]


@pytest.mark.parametrize(('source', 'wrap', 'form', 'new'), WRAPPED)
def test_each_format_loads_whole(published, tmp_path, source, wrap, form, new):
    net = SwinTransformer('tiny')
    report = load_checkpoint(net, save(tmp_path, wrap(published[source])))
    assert report.format == form
    assert sorted(report.new) == sorted(new)
    assert len(report.loaded) + len(report.new) == len(net.state_dict())
    assert report.resized == []
    assert f'format {form}, {len(report.loaded)} tensors loaded' in str(report)
    table = 'stages.2.blocks.5.attn.bias.relative_position_bias_table'
    theirs = next(
        v for k, v in published[source].items() if '2.blocks.5' in k and 'bias_table' in k
    )
    assert torch.equal(net.state_dict()[table], theirs)


def test_detector_file_reports_what_it_leaves_out(published, tmp_path):
    report = load_checkpoint(SwinTransformer('tiny'), save(tmp_path, detector(published['dense'])))
    assert {'neck.fpn.weight', 'roi_head.fc.bias'} <= set(report.dropped)


def test_safetensors(published, tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'model.safetensors'
    safetensors.save_file(published['timm'], path)
    assert load_checkpoint(SwinTransformer('tiny'), path).format == 'timm'
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r'is no whole checkpoint'):
        load_checkpoint(SwinTransformer('tiny'), path)


def test_merging_weights_of_unfold_order():
    """Merging of mm files is a strided convolution in disguise; ours gives the same numbers."""
    x = torch.randn(1, 6, 8, 4)
    weight = torch.randn(5, 16)
    unfolded = torch.nn.functional.unfold(x.permute(0, 3, 1, 2), 2, stride=2).mT @ weight.T
    merge = PatchMerging(4, 5)
    merge.norm, merge.reduction.weight = (
        torch.nn.Identity(),
        torch.nn.Parameter(from_unfold(weight)),
    )
    assert torch.allclose(merge(x).flatten(1, 2), unfolded, atol=1e-5)


def test_other_window_resizes_every_table_and_nothing_else(published, tmp_path):
    net = SwinTransformer('tiny', window_size=12)
    report = load_checkpoint(net, save(tmp_path, published['dense']))
    assert len(report.resized) == 12
    assert all(name.endswith('relative_position_bias_table') for name in report.resized)
    table = net.stages[0].blocks[0].attn.bias.relative_position_bias_table
    theirs = published['dense']['layers.0.blocks.0.attn.relative_position_bias_table']
    official = torch.nn.functional.interpolate(
        theirs.T.reshape(1, 3, 13, 13), size=(23, 23), mode='bicubic'
    )
    assert torch.allclose(table, official.view(3, 529).T)
    assert '12 resized' in str(report)


def test_container_as_its_training_saved_it(tmp_path):
    """A training checkpoint of DeiT, on which the official code builds."""
    state = Recording('container_light_cls').state_dict()
    rest = dict(optimizer={}, lr_scheduler={}, epoch=299, scaler={}, args=Namespace(lr=5e-4))
    path = save(tmp_path, dict(model=state, model_ema=state, **rest))
    assert load_checkpoint(Container('light'), path).format == 'official'


@pytest.mark.parametrize(
    ('name', 'form', 'prefix'),
    [
        ('davit_florence_msft', 'Florence-2', 'vision_tower.'),
        ('davit_florence_hf', 'Hugging Face', 'model.vision_tower.'),
    ],
)
def test_davit_inside_a_whole_florence_2(tmp_path, name, form, prefix):
    """In half precision, beside a language model whose layers have names of their own."""
    state = Recording(name).state_dict()
    words = {
        'language_model.model.encoder.layers.0.fc1.weight': torch.zeros(4, 4),
        'language_model.final_logits_bias': torch.zeros(1, 4),
        'image_projection': torch.zeros(64, 4),
    }
    whole = {n: t.half() for n, t in (prefixed(state, prefix) | words).items()}
    path = str(save(tmp_path, whole))
    cfg = dict(type='Pretrained', checkpoint=path)  # as the configs have it
    by_config, by_names = DaViT(FLORENCE, init_cfg=cfg), DaViT(FLORENCE)
    by_config.init_weights()
    report = load_checkpoint(DaViT(FLORENCE), path, prefix=prefix)
    assert (report.format, report.resized, report.new) == (form, [], NORMS)
    assert set(report.dropped) >= words.keys()
    assert load_checkpoint(DaViT(FLORENCE), path).place == prefix
    by_names.load_state_dict(state, strict=False)
    for n, tensor in by_config.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, by_names.state_dict()[n].half().float()), n
    paper = dict(FLORENCE, parts='paper')
    with pytest.raises(CheckpointError, match=r'downsample.* \(32, 16, 3, 3\) .* \(32, 16, 2, 2\)'):
        load_checkpoint(DaViT(paper), path, prefix=prefix)


def test_swin_v2_as_simmim_saved_it(tmp_path):
    """Self-supervised pretraining: an encoder with older names, a decoder, no classifier."""
    state = Recording('swinv2_tiny_w8_cls').state_dict()
    rest = ('head.weight', 'head.bias')
    encoder = {k.replace('cpb_mlp', 'rpe_mlp'): t for k, t in state.items() if k not in rest}
    decoder = {'decoder.0.weight': torch.zeros(1), 'encoder.mask_token': torch.zeros(1)}
    path = save(tmp_path, dict(model=prefixed(encoder, 'encoder.') | decoder))
    report = load_checkpoint(SwinTransformerV2('tiny'), path)
    assert (report.format, report.resized) == ('official', [])
    assert {'decoder.0.weight', 'mask_token'} <= set(report.dropped)


def test_tables_of_maxvit_are_resized_when_loaded_or_in_each_forward_pass(tmp_path):
    path = save(tmp_path, Recording('maxvit_tiny_224_timm').state_dict())
    once, always = (MaxViT('tiny', window_size=12, pretrained_window_size=w) for w in (None, 7))
    report = load_checkpoint(once, path)
    assert len(report.resized) == 22
    assert load_checkpoint(always, path).resized == []
    bias = always.stages[1].blocks[2].attn.bias
    assert torch.allclose(once.stages[1].blocks[2].attn.bias(), bias(), atol=1e-6)
    bias().square().sum().backward()
    assert (bias.relative_position_bias_table.grad != 0).all()
    assert load_checkpoint(once, save(tmp_path, always.state_dict())).resized == report.resized


def test_positions_of_volo_are_resized_when_loaded(tmp_path):
    state = Recording('volo_d1_448_cls').state_dict()
    net = VOLO('d1')
    report = load_checkpoint(net, save(tmp_path, state))
    assert report.resized == ['stages.2.downsample.pos_embed']
    image = state['pos_embed'].permute(0, 3, 1, 2)
    official = torch.nn.functional.interpolate(image, (14, 14), mode='bicubic')
    assert torch.allclose(net.stages[2].downsample.pos_embed, official.permute(0, 2, 3, 1))
    assert sorted(report.new) == sorted([*NORMS, 'up.0.bias', 'up.0.weight'])


def test_a_file_of_torchvision_wants_its_own_arch(tmp_path):
    path = save(tmp_path, Recording('maxvit_tiny_torchvision').state_dict())
    check_refused(path, r'lacks 1 tensors \(stem.conv1.bias\) and has 2 unknown', MaxViT('tiny'))


@pytest.mark.parametrize('name', ['swin_tiny_timm', 'swinv2_tiny_w8_timm', 'davit_tiny_timm'])
def test_files_of_other_families_are_refused(tmp_path, name):
    path = save(tmp_path, Recording(name).state_dict())
    others = [family for family in NAMES if name not in FAMILIES[family].recordings]
    assert len(others) == len(NAMES) - 1
    for family in others:
        net = MODELS.get(family)()
        check_refused(path, f'of no format known for|no checkpoint of this {family}', net)


def test_norms_that_are_not_asked_for_are_dropped(published, tmp_path):
    net = SwinTransformer('tiny', out_indices=(1, 2))
    report = load_checkpoint(net, save(tmp_path, published['dense']))
    assert report.new == []
    dropped = {name.split('.')[0] for name in report.dropped if 'index' not in name}
    assert {'norm0', 'norm3', 'layers'} == dropped


def test_init_cfg_loads_and_reports(published, tmp_path):
    path = save(tmp_path, dict(model=published['official']))
    net = SwinTransformer('tiny', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    net.init_weights()
    theirs = published['official']['layers.0.blocks.0.attn.qkv.weight']
    assert torch.equal(net.stages[0].blocks[0].attn.qkv.weight, theirs)
    with torch.no_grad():
        net.stages[0].blocks[0].attn.qkv.weight.zero_()
    net.init_weights()  # a second call, as detectors make, must not undo training
    assert not net.stages[0].blocks[0].attn.qkv.weight.any()


def test_init_cfg_does_not_load_loosely():
    cfgs = [dict(type='TruncNormal', layer='Linear'), dict(type='Pretrained', checkpoint='x')]
    with pytest.raises(ValueError, match='give it alone'):
        SwinTransformer('tiny', init_cfg=cfgs).init_weights()


@pytest.mark.parametrize('options', [dict(checkpoint='x', prefixes='a.'), dict(prefix='a.'), {}])
def test_init_cfg_knows_its_keys(options):
    with pytest.raises(ValueError, match='init_cfg of type Pretrained has '):
        SwinTransformer('tiny', init_cfg=dict(options, type='Pretrained')).init_weights()


class Shell:
    """Runs a command when it is unpickled, if the reader is careless."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_file_is_refused_and_not_run(published, tmp_path, zipped):
    trace = tmp_path / 'ran'
    state = dict(published['timm'], extra=Shell(f'touch {trace}'))
    torch.save(dict(model=state), tmp_path / 'f.pth', _use_new_zipfile_serialization=zipped)
    check_refused(tmp_path / 'f.pth', r'asks for (posix|nt)\.system.*was not read')
    (tmp_path / 'bare.pth').write_bytes(pickle.dumps(Shell(f'touch {trace}')))
    check_refused(tmp_path / 'bare.pth', r'system|no whole checkpoint')
    assert not trace.exists()
    pickle.loads(pickle.dumps(Shell(f'touch {trace}')))
    assert trace.exists()  # so the file is one that would have run


def check_refused(path, words, net=None):
    """Loading raises one clear sentence and leaves the net as it was."""
    net = net or SwinTransformer(
        dict(dims=(8, 16, 32, 64), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))
    )
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(net, path)
    assert '\n' not in str(caught.value)
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())


def test_harmless_objects_of_published_files_are_read_as_nothing(published, tmp_path):
    import numpy as np
    from mmengine.logging import HistoryBuffer

    state = dict(
        model=published['timm'],
        args=Namespace(lr=0.1),
        history=HistoryBuffer([1.0], [1]),
        best=np.float64(3.0),
        table=np.arange(3),
    )
    report = load_checkpoint(SwinTransformer('tiny'), save(tmp_path, state))
    assert report.format == 'timm'


def test_truncated_files(published, tmp_path):
    whole = save(tmp_path, published['timm']).read_bytes()
    for length in (0, 10, 5000, len(whole) // 2, len(whole) - 100):
        (tmp_path / 'part.pth').write_bytes(whole[:length])
        check_refused(tmp_path / 'part.pth', rf'\({length:,} bytes\) is no whole checkpoint')


def test_files_of_other_kinds(tmp_path):
    (tmp_path / 'page.pth').write_bytes(b'<!DOCTYPE html><html>404</html>')
    check_refused(tmp_path / 'page.pth', 'is no whole checkpoint')
    with zipfile.ZipFile(tmp_path / 'zip.pth', 'w') as archive:
        archive.writestr('readme.txt', 'hello')
    check_refused(tmp_path / 'zip.pth', 'is no whole checkpoint')
    check_refused(save(tmp_path, [1, 2]), 'holds no tensors by name, but list')
    check_refused(save(tmp_path, dict(epoch=3)), 'holds no tensors by name, but epoch')
    check_refused(save(tmp_path, {'conv1.weight': torch.zeros(2)}), 'of no format known .* conv1')


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*none\.pth'):
        load_checkpoint(SwinTransformer('tiny'), tmp_path / 'none.pth')


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda s: s.pop('layers.1.blocks.0.mlp.fc1.weight'), r'lacks 1 tensors \(stages\.1.*fc1'),
        (lambda s: s.update(odd=torch.zeros(1)), r'has 1 unknown ones \(odd\)'),
        (lambda s: s.pop('norm1.bias'), r'lacks 1 tensors \(norm1\.bias'),
        (
            lambda s: s.update({'patch_embed.norm.weight': torch.zeros(128)}),
            r'stem\.norm\.weight is \(128,\) in the file and \(96,\) in this SwinTransformer',
        ),
        (
            lambda s: s.update(
                {'layers.0.blocks.0.attn.relative_position_bias_table': torch.zeros(9, 4)}
            ),
            r'relative_position_bias_table is \(9, 4\) in the file and \(169, 3\)',
        ),
    ],
)
def test_mismatches_are_named(published, tmp_path, change, words):
    state = dict(published['dense'])
    change(state)
    check_refused(save(tmp_path, state), words, SwinTransformer('tiny'))


def test_another_size_is_refused(published, tmp_path):
    check_refused(save(tmp_path, published['dense']), 'lacks 156|lacks 1', SwinTransformer('small'))
