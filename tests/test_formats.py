"""Layouts of weights as others publish them: names from their own code, wherever they stand.

`tests/data/layouts` has the names and shapes of small nets, which `state_dict` of a `Recording`
fills, and for Hugging Face's backbones what these gave.
"""

import gzip
import json
import pickle
import re
import tarfile
import zipfile
from random import Random

import numpy as np
import pytest
import torch
from families import FAMILIES, NAMES
from recording import TOLERANCE, Recording, layout, save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from mmbackbones import (
    CheckpointError,
    MaxViT,
    SwinTransformer,
    SwinTransformerV2,
    load_checkpoint,
)
from mmbackbones.registry import MODELS
from mmbackbones.weights import loading
from mmbackbones.weights.reading import without_wrappers

ARCH = dict(dims=(4, 8, 16, 32), depths=(2, 1, 1, 1), heads=(1, 1, 1, 1))


def swin(**options):
    return SwinTransformer(ARCH, window_size=2, **options)


def swin_v2(**options):
    return SwinTransformerV2(dict(ARCH, norm_every=None), window_size=2, **options)


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def without_prefix(state, prefix):
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


def official(part='encoder.', file='simmim'):
    """A bare Swin of the authors, as SimMIM and others have it."""
    return without_prefix(layout(file), part)


def loaded(state, make=swin):
    """A net with the tensors of a bare backbone."""
    net = make()
    net.load_state_dict(state, strict=False)
    return net


def by_load_checkpoint(make, path):
    net = make()
    load_checkpoint(net, path)
    return net


def by_init_cfg(make, path):
    net = make(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    net.init_weights()
    return net


def by_load_state_dict(make, path):
    """Of a file without dicts in dicts, as of the one in others."""
    net, content = make(), torch.load(path)
    missing, unknown = net.load_state_dict(content.get('model', content), strict=False)
    assert not unknown
    assert all(name.startswith('norm') for name in missing)
    return net


DOORS = (by_load_checkpoint, by_init_cfg, by_load_state_dict)


def assert_same(net, other, but=()):
    ours, theirs = net.state_dict(), other.state_dict()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert [name for name in different if not name.startswith(but)] == []


# Hugging Face: what its own backbones gave

BACKBONES = {
    'hf_swin_saved': swin,
    'hf_swin_memory': swin,
    'hf_upernet': swin,
    'hf_upernet_memory': swin,
    'hf_maskformer': swin,
    'hf_oneformer': swin,
    'hf_grounding_dino': swin,
    'hf_upernet_v2': swin_v2,
}


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_of_hugging_face_give_their_outputs(name, door, tmp_path):
    recording = Recording(f'layouts/{name}')
    net = door(BACKBONES[name], save(tmp_path, recording.state_dict())).eval()
    if name == 'hf_upernet_v2':  # which hands out raw maps
        net.norm0 = net.norm1 = net.norm2 = net.norm3 = torch.nn.Identity()
    (case,) = recording.cases
    with torch.no_grad():
        errors = recording.errors(case, net(recording.image(case)))
    noise = max(out['noise'] for out in case['outputs'])
    assert max(errors.values()) < max(TOLERANCE, 4 * noise)


def test_norms_of_hugging_face_are_loaded(tmp_path):
    report = load_checkpoint(swin(), save(tmp_path, layout('hf_upernet')))
    assert (report.new, report.format, report.place) == ([], 'Hugging Face', 'backbone.')
    assert 'decode_head.classifier.weight' in report.dropped
    assert 'swin.layernorm.weight' in report.dropped


MASKED = {'hf_swin_mim': swin, 'hf_swin_mim_memory': swin}
MASKED |= {'hf_swinv2_mim': swin_v2, 'hf_swinv2_mim_memory': swin_v2}


@pytest.mark.parametrize('name', MASKED)
def test_masked_pretraining_of_hugging_face(name, tmp_path):
    report = load_checkpoint(MASKED[name](), save(tmp_path, layout(name)))
    dropped = {'embeddings.mask_token', 'decoder.0.weight', 'layernorm.weight'}
    assert dropped <= set(report.dropped)
    assert {new.split('.')[0] for new in report.new} == {'norm0', 'norm1', 'norm2', 'norm3'}


# What stands before the names

PREFIXES = """
    bb. backbone. backbone.0. backbone.body. model.backbone. encoder.model. backbone.backbone.
    model.encoder. detector.backbone. net. image_encoder. _orig_mod. student. teacher. module.
    module.encoder. _orig_mod.module.backbone. model.backbone.conv_encoder.model. encoder.
    backbone.bottom_up. teacher.module.backbone.
"""
BARE = {
    'official': lambda: official(),
    'Hugging Face': lambda: layout('hf_swin_saved'),
    'in memory': lambda: layout('hf_swin_memory'),
    'ours': lambda: swin().state_dict(),
}


@pytest.mark.parametrize('bare', BARE)
@pytest.mark.parametrize('prefix', PREFIXES.split())
def test_the_prefix_is_where_the_names_of_a_format_stand(prefix, bare, tmp_path):
    state, rest = BARE[bare](), {'neck.convs.0.weight': torch.ones(2)}
    wanted = loaded(state)
    for door in (by_load_checkpoint, by_load_state_dict):
        net = door(swin, save(tmp_path, prefixed(state, prefix) | rest))
        assert_same(net, wanted, but='norm' if bare == 'official' else ())


def test_wrappers_inside_of_names(tmp_path):
    state = swin().state_dict()
    compiled = {n.replace('blocks.0.', 'blocks.0._orig_mod.'): t for n, t in state.items()}
    for door in DOORS:
        assert_same(door(swin, save(tmp_path, compiled)), loaded(state))


@pytest.mark.parametrize('bare', BARE)
def test_other_modules_beside_a_bare_backbone(bare, tmp_path):
    state = BARE[bare]()
    others = {'text_encoder.a.weight': torch.ones(2), 'decoder.0.bias': torch.ones(2)}
    if bare in ('official', 'ours'):  # of Hugging Face's Swin it is a part
        others |= {'encoder.0.patch.weight': torch.ones(2)}
    report = load_checkpoint(net := swin(), save(tmp_path, state | others))
    assert_same(net, loaded(state), but='norm' if bare == 'official' else ())
    assert others.keys() <= set(report.dropped)


def test_two_backbones_are_named_and_one_can_be_chosen(tmp_path):
    one, two = official(), {n: t + 1 for n, t in official().items()}
    path = save(tmp_path, prefixed(one, 'image.net.') | prefixed(two, 'depth.net.'))
    words = r"several sets of weights, .* image\.net\. and depth\.net\.; .*prefix='image\.net'"
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(swin(), path)
    for prefix in ('depth', 'depth.', 'depth.net'):
        net = swin()
        report = load_checkpoint(net, path, prefix=prefix)
        assert report.others == []
        assert_same(net, loaded(two), but='norm')
    with pytest.raises(CheckpointError, match=r'its names below sound\. start with'):
        load_checkpoint(swin(), path, prefix='sound')


# Several sets of weights

ONE, TWO = official(), {name: tensor + 1 for name, tensor in official().items()}
AVERAGED = prefixed(TWO, 'module.')
# What a file holds: the first set of weights and the second, of which one is taken.
SETS = {
    'one': [
        dict(ema=ONE),
        dict(ema_state_dict=ONE, epoch=3),
        dict(model_state_dict=ONE, optimizer_state_dict=dict(state={0: dict(m=torch.ones(2))})),
        dict(net=ONE),
        dict(params=ONE),
        dict(teacher=prefixed(ONE, 'module.backbone.')),
        dict(model=dict(backbone=ONE), rng_state=torch.ones(3)),
        dict(state_dict=ONE, optimizer=dict(state=dict(a=dict(exp_avg=torch.ones(2))))),
        dict(app=dict(model=ONE, optim=TWO)),
        # mmengine's hook saves the average as the model.
        dict(state_dict=ONE, ema_state_dict=AVERAGED | {'steps': torch.tensor(9)}),
        dict(model=prefixed(ONE, 'encoder.') | prefixed(TWO, 'encoder_k.')),
        dict(model=prefixed(ONE, 'module.encoder.') | prefixed(TWO, 'module.teacher.')),
    ],
    'two': [
        dict(state_dict=ONE, state_dict_ema=TWO),
        dict(model=ONE, model_ema=TWO),
        dict(model=ONE, ema=dict(module=TWO)),
        dict(params=ONE, params_ema=TWO),
        dict(state_dict=ONE, ema_state_dict=TWO),
        dict(model=ONE, averaged=AVERAGED | {'n_averaged': torch.tensor(9)}),
        dict(student=prefixed(ONE, 'module.'), teacher=TWO, dino_loss=dict(center=torch.ones(2))),
        dict(state_dict=prefixed(ONE, 'student.backbone.') | prefixed(TWO, 'teacher.backbone.')),
        dict(model=prefixed(ONE, 'online_encoder.model.') | prefixed(TWO, 'branch_encoder.')),
        dict(model=prefixed(ONE, 'model.') | prefixed(TWO, 'model_ema.module.')),
        AVERAGED | {'n_averaged': torch.tensor(9)},
    ],
}


@pytest.mark.parametrize(
    ('taken', 'content'), [(taken, content) for taken in SETS for content in SETS[taken]]
)
def test_of_two_sets_the_average_is_taken(taken, content, tmp_path):
    path, net = save(tmp_path, content), swin()
    report = load_checkpoint(net, path)
    assert_same(net, loaded(dict(one=ONE, two=TWO)[taken]), but='norm')
    if report.others:
        assert f'({report.place.removesuffix(".")}, not {report.others[0][:-1]}): format' in str(
            report
        )
        for prefix in (report.place, report.others[0]):
            chosen = load_checkpoint(swin(), path, prefix=prefix)
            assert (chosen.place, chosen.others) == (prefix, [])
    assert_same(by_init_cfg(swin, path), net, but='norm')


class Detector(torch.nn.Module):
    """A backbone of ours and a head."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = swin(), torch.nn.Linear(32, 2)


def test_whole_models_are_found_too(tmp_path):
    one, two = Detector().state_dict(), Detector().state_dict()
    counted = prefixed(two, 'module.') | {'n_averaged': torch.tensor(9)}
    wholes = [
        dict(state_dict=one, state_dict_ema=two),
        counted,
        prefixed(two, '_orig_mod.module.'),
        prefixed(one, 'student.') | prefixed(two, 'teacher.'),
        dict(state_dict=two, ema_state_dict=prefixed(one, 'module.') | {'steps': torch.tensor(1)}),
    ]
    for content in wholes:
        model = Detector()
        load_checkpoint(model, save(tmp_path, content))
        assert all(torch.equal(two[name], t) for name, t in model.state_dict().items())
    chosen = Detector()
    load_checkpoint(chosen, save(tmp_path, wholes[0]), prefix='state_dict')
    assert torch.equal(chosen.head.weight, one['head.weight'])


def test_files_without_counters_of_batches(tmp_path):
    state = Recording('maxvit_tiny_224_timm').state_dict()
    state = {name: tensor for name, tensor in state.items() if 'num_batches' not in name}
    report = load_checkpoint(MaxViT('tiny'), save(tmp_path, state))
    assert report.new == []


# Pretraining of others: what their own code loads of it

PRETRAINED = {'simmim': 'encoder.', 'gfm': 'encoder.', 'moby': 'encoder.', 'greenmim': 'encoder.'}
PRETRAINED |= {'esvit': ''}


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('name', PRETRAINED)
def test_pretraining_of_others(name, door, tmp_path):
    state = layout(name)
    net = door(swin, save(tmp_path, dict(model=state, epoch=99)))
    assert_same(net, loaded(without_prefix(state, PRETRAINED[name])), but='norm')
    table = net.stages[0].blocks[1].attn.bias.relative_position_bias_table
    theirs = f'{PRETRAINED[name]}layers.0.blocks.1.attn.relative_position_bias_table'
    assert torch.equal(table, state[theirs])


def test_masked_pretraining_of_openmmlab(tmp_path):
    state = Recording('swin_tiny_mmdet').state_dict()
    backbone = {name: t for name, t in state.items() if not name.startswith('norm')}
    rest = {'backbone.mask_token': torch.ones(1, 1, 96), 'neck.decoder.0.weight': torch.ones(2)}
    report = load_checkpoint(
        SwinTransformer(), save(tmp_path, dict(state_dict=prefixed(backbone, 'backbone.') | rest))
    )
    assert report.format == 'mmpretrain'
    assert {'mask_token', 'neck.decoder.0.weight'} <= set(report.dropped)


# Architectures that are not ours

REFUSED = {
    'ctranspath': (swin, r'is of CTransPath: a Swin with a stem of three convolutions'),
    'mixmim': (swin, r'is of a Swin with absolute positions \(MixMAE, or ape=True\)'),
    'swinv2_cr': (swin_v2, r"is of timm's Swin V2-CR, another design"),
    'maxvit_nano_rw_256': (MaxViT, r"is of timm's MaxViT rw or pm, another .* maxvit_\*_tf_\*"),
    'maxvit_tiny_pm_256': (MaxViT, r"is of timm's MaxViT rw or pm"),
    'maxvit_rmlp_pico_rw_256': (MaxViT, r"is of timm's MaxViT rmlp"),
    'maxxvit_rmlp_nano_rw_256': (MaxViT, r"is of timm's MaxxViT"),
    'maxxvitv2_nano_rw_256': (MaxViT, r"is of timm's MaxxViT"),
    'coatnet_nano_rw_224': (MaxViT, r"is of timm's CoAtNet"),
    'hf_swin2sr': (swin_v2, r'is of Swin2SR'),
    'hf_clap': (swin, r'is of CLAP'),
}


with torch.device('meta'):
    NETS = {make: make() for make in (swin, swin_v2, MaxViT)}


@pytest.mark.parametrize('name', REFUSED)
def test_other_architectures_are_called_by_name(name, tmp_path):
    make, words = REFUSED[name]
    for prefix in ('', 'model.backbone.'):
        with pytest.raises(CheckpointError, match=f'{words}.*; it does not fit .*check arch'):
            load_checkpoint(NETS[make], save(tmp_path, prefixed(layout(name), prefix)))


with torch.device('meta'):
    # Of each family one, and one of a user's subclass.
    FAMILY = {name: (MODELS.get(name)(), type('Mine', (MODELS.get(name),), {})()) for name in NAMES}
FILES = {file: (name, *row) for name in NAMES for file, row in FAMILIES[name].recordings.items()}


def refusals(family, names, monkeypatch):
    """What nets of all other families say of a file with these names."""
    monkeypatch.setattr(loading, 'read_checkpoint', lambda *_: names)
    for net in [net for name in NAMES if name != family for net in FAMILY[name]]:
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(net, 'file.pth')
        yield str(caught.value)


@pytest.mark.parametrize('file', FILES)
def test_another_family_is_called_by_name(file, monkeypatch):
    family, form, *_ = FILES[file]
    for prefix in ('', 'backbone.'):
        keys = Recording(file).meta['keys']
        names = {prefix + key: torch.empty(shape, device='meta') for key, shape, *_ in keys}
        for said in refusals(family, names, monkeypatch):
            assert f', as those of {family} (format {form}); check arch and family' in said


@pytest.mark.parametrize('family', NAMES)
def test_our_own_files_of_another_family_are_called_by_name(family, monkeypatch):
    for prefix in ('', 'backbone.'):
        names = prefixed(FAMILY[family][0].state_dict(), prefix)
        for said in refusals(family, names, monkeypatch):
            assert f', as those of {family}; check arch and family' in said


# Files of timm's features_only: its FeatureListNet has flat names, its FeatureGetterNet a prefix

FLAT = ('swin_tiny_timm', 'swin_s3_tiny_timm', 'swinv2_tiny_w8_timm', 'maxvit_tiny_224_timm')
FLAT += ('davit_tiny_timm', 'davit_base_fl_timm', 'volo_d1_cls')


@pytest.mark.parametrize('file', FLAT)
def test_features_of_timm(file, monkeypatch):
    name, form, arch, arguments = FILES[file]
    with torch.device('meta'):
        net = MODELS.get(name)(arch, **arguments)
    keys = {key: shape for key, shape, *_ in Recording(file).meta['keys']}
    heads = re.compile(r'(head|norm|aux_head|post_network)\.|cls_token')
    names = [key for key in keys if not heads.match(key)]
    for prefix in ('', 'backbone.timm_model.'):
        flat = {
            f'{prefix}model.{key}' if name == 'VOLO' else prefix + flat_name(key): keys[key]
            for key in names
        }
        state = {key: torch.empty(shape, device='meta') for key, shape in flat.items()}
        monkeypatch.setattr(loading, 'read_checkpoint', lambda *_, state=state: state)
        report = load_checkpoint(net, 'file.pth')
        assert report.format == form
        assert all(re.match(net.optional_keys, new) for new in report.new)
        if 'Swin' not in name:
            assert not report.dropped


def flat_name(name):
    """As timm 1.0.31 has it."""
    return re.sub(r'^(layers|stages)\.', r'\1_', name)


# Any of these files in any nest, and with any tensor lost

LAYOUTS = BACKBONES | MASKED | dict.fromkeys(PRETRAINED, swin)


def file_and_net(name):
    """A file's names without values, and a net of its own."""
    with torch.device('meta'):
        if name in LAYOUTS:
            net, keys = LAYOUTS[name](), Recording(f'layouts/{name}').meta['keys']
        else:
            family, _, arch, arguments = FILES[name]
            net, keys = MODELS.get(family)(arch, **arguments), Recording(name).meta['keys']
        return {key: torch.empty(shape) for key, shape, *_ in keys}, net


def load_names(net, names, monkeypatch):
    monkeypatch.setattr(loading, 'read_checkpoint', lambda *_: names)
    return load_checkpoint(net, 'file.pth')


@pytest.mark.parametrize('name', [*FILES, *LAYOUTS])
def test_nests_change_nothing_and_no_loss_is_silent(name, monkeypatch):
    names, net = file_and_net(name)
    draw, prefixes = Random(name), PREFIXES.split()
    whole = load_names(net, names, monkeypatch)
    for prefix in (draw.choice(prefixes), ''.join(draw.choices(prefixes, k=2))):
        nested = load_names(net, prefixed(names, prefix), monkeypatch)
        place = without_wrappers(prefix + whole.place)
        assert (nested.format, nested.place) == (whole.format, place)
        assert (nested.loaded, nested.new) == (whole.loaded, whole.new)
    used = [n for n in names if not n.endswith(('num_batches_tracked', *whole.dropped))]
    used = [n for n in used if not n.startswith(tuple(o for o in whole.others if o))]
    for lost in draw.sample(used, 3):
        for other in (None, lost[:-1], f'x.{lost}'):
            rest = {(other if n == lost else n): t for n, t in names.items() if other or n != lost}
            try:
                report = load_names(net, rest, monkeypatch)
            except CheckpointError:
                continue
            assert set(report.new) > set(whole.new)
            assert not other or set(report.dropped) > set(whole.dropped)


@pytest.mark.parametrize('name', LAYOUTS)
def test_nests_of_two_give_the_same_net_by_every_door(name, tmp_path):
    draw, state = Random(name), layout(name)
    nest = ''.join(draw.choices(PREFIXES.split(), k=2))
    wanted = by_load_checkpoint(LAYOUTS[name], save(tmp_path, state))
    path = save(tmp_path, prefixed(state, nest))
    fresh = tuple(f'norm{i}.' for i in range(4) if torch.equal(wanted.norm0.bias, torch.zeros(4)))
    for door in DOORS:
        assert_same(door(LAYOUTS[name], path), wanted, but=fresh)


# Nets that are wrapped


def test_targets_in_wrappers(tmp_path):
    path, wanted = save(tmp_path, ONE), loaded(ONE)
    url = f'file://{tmp_path}/store'
    torch.distributed.init_process_group('gloo', init_method=url, rank=0, world_size=1)
    try:
        wrappers = (torch.compile, DistributedDataParallel, DataParallel, AveragedModel)
        for wrap in wrappers:
            load_checkpoint(whole := wrap(swin()), path)
            net = whole._orig_mod if wrap is torch.compile else whole.module
            assert_same(net, wanted, but='norm')
        mesh = init_device_mesh('cpu', (1,))
        for state in (ONE, wanted.state_dict()):
            for load in (
                load_checkpoint,
                lambda net, path: net.load_state_dict(torch.load(path), strict=False),
            ):
                load(net := fully_shard(swin(), mesh=mesh), save(tmp_path, state))
                gathered = {name: t.full_tensor() for name, t in net.state_dict().items()}
                assert torch.equal(gathered['stem.proj.weight'], ONE['patch_embed.proj.weight'])
        whole = Detector().state_dict()
        load_checkpoint(model := fully_shard(Detector(), mesh=mesh), save(tmp_path, whole))
        assert torch.equal(model.head.weight.full_tensor(), whole['head.weight'])
        sharded = FullyShardedDataParallel(swin(), device_id=torch.device('cpu'))
        with pytest.raises(CheckpointError, match='cannot be fitted to a net that FSDP or ZeRO 3'):
            load_checkpoint(sharded, path)
    finally:
        torch.distributed.destroy_process_group()


# Files of detectron2


@pytest.mark.parametrize('protocol', range(1, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('kind', ['arrays', 'tensors'])
def test_plain_pickles_of_detectron2(kind, protocol, tmp_path):
    state = prefixed(ONE, 'backbone.') | {'pixel_mean': torch.ones(3, 1, 1)}
    numbers = state if kind == 'tensors' else {n: t.numpy() for n, t in state.items()}
    content = dict(model=numbers, __author__='third_party', matching_heuristics=True)
    (tmp_path / 'model.pkl').write_bytes(pickle.dumps(content, protocol))
    assert_same(by_load_checkpoint(swin, tmp_path / 'model.pkl'), loaded(ONE), but='norm')


@pytest.mark.parametrize('shape', [(3,), (-1, -1), (2**62, 4), (2.0,), None])
def test_arrays_of_protocol_5_have_what_they_say(shape, tmp_path):
    class Array:
        def __reduce__(self):
            rebuild = np.zeros(2).__reduce_ex__(5)[0]
            return rebuild, (bytes(8), np.dtype('f4'), shape, 'C')

    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(dict(a=Array(), b=np.zeros(99)), 5))
    with pytest.raises(CheckpointError, match='is no whole checkpoint'):
        load_checkpoint(swin(), tmp_path / 'a.pkl')


def test_bytes_that_a_pickle_claims_take_no_memory(tmp_path):
    claim = b'\x80\x05\x96' + (2**40).to_bytes(8, 'little') + b'abc.'
    (tmp_path / 'a.pkl').write_bytes(claim)
    with pytest.raises(CheckpointError, match='has less bytes than it says'):
        load_checkpoint(swin(), tmp_path / 'a.pkl')


def test_files_in_files_hold_storages_alone(tmp_path):
    class Nested:
        def __init__(self, data):
            self.data = data

        def __reduce__(self):
            return torch.storage._load_from_bytes, (self.data,)

    for inside in (dict(a=1), torch.ones(2).storage(), Nested(b'')):
        (tmp_path / 'a.pkl').write_bytes(pickle.dumps(Nested(pickle.dumps(inside))))
        with pytest.raises(CheckpointError, match=r'is no storage|files in files|no tensors'):
            load_checkpoint(swin(), tmp_path / 'a.pkl')


# Files in pieces, and files of other kinds


def test_pieces_of_safetensors_are_joined_by_their_index(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    names, index = list(ONE), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f'model-0000{number}-of-00002.safetensors'
        safetensors.save_file({name: ONE[name] for name in part}, tmp_path / file)
        index |= dict.fromkeys(part, file)
    path = tmp_path / 'model.safetensors.index.json'
    path.write_text(json.dumps(dict(metadata={}, weight_map=index)))
    assert_same(by_load_checkpoint(swin, path), loaded(ONE), but='norm')
    words = 'is one of several pieces; give model.safetensors.index.json'
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(swin(), tmp_path / file)
    with pytest.raises(CheckpointError, match=r'is a folder; give a file of it, such as model-'):
        load_checkpoint(swin(), tmp_path)
    (tmp_path / file).rename(tmp_path / 'other')
    with pytest.raises(CheckpointError, match=rf'names {file}, which is not beside it; fetch'):
        load_checkpoint(swin(), path)
    for text in ('{', '[]', '{"weight_map": 3}', '{"weight_map": {"a": 3}}'):
        path.write_text(text)
        with pytest.raises(CheckpointError, match='is no index of weights'):
            load_checkpoint(swin(), path)
    path.write_text(json.dumps(dict(weight_map=dict(a='../other'))))
    with pytest.raises(CheckpointError, match='is not beside it'):
        load_checkpoint(swin(), path)


def test_safetensors_under_another_name(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    safetensors.save_file(ONE, tmp_path / 'pytorch_model.bin')
    assert_same(by_load_checkpoint(swin, tmp_path / 'pytorch_model.bin'), loaded(ONE), but='norm')


def write_arrays(path):
    np.savez(path, a=np.zeros(3))


def write_program(path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)


def write_folder(*names):
    def function(path):
        path.mkdir()
        for name in names:
            (path / name).write_bytes(b'')

    return function


def write_zip(*names):
    def function(path):
        with zipfile.ZipFile(path, 'w') as archive:
            for name in names:
                archive.writestr(name, 'a')

    return function


def write_tar(path):
    with tarfile.open(path, 'w') as archive:
        archive.add(__file__, 'swin.py')


def write_gzip(path):
    path.write_bytes(gzip.compress(pickle.dumps(dict(a=1))))


def write_pickle(path):
    """As paddle.save does: arrays by name."""
    path.write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in ONE.items()}))


def write_variables(path):
    """TensorFlow names a checkpoint by the beginning of its files' names."""
    for end in ('.index', '.data-00000-of-00001', '.meta'):
        path.with_name(path.name + end).write_bytes(b'a')


def write(start):
    return lambda path: path.write_bytes(start + bytes(99))


KINDS = {
    'model.onnx': (write(b'\x08\x0a\x12\x07pytorch'), 'is a graph of ONNX'),
    'weights.bin': (write(b'\x08\x0a\x12\x07pytorch'), 'is a graph of ONNX'),
    'weights.npz': (write_arrays, r'holds arrays of NumPy \(npz\)'),
    'weights.h5': (write(b'\x89HDF\r\n\x1a\n'), 'is a file of HDF5, as Keras'),
    'weights.pth': (write(b'\x89HDF\r\n\x1a\n'), 'is a file of HDF5, as Keras'),
    'model.gguf': (write(b'GGUF'), 'is a file of GGUF'),
    'model.safetensors': (
        write(b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a'),
        'is a pointer of Git LFS, not the file itself; run git lfs pull',
    ),
    'program.pt': (write_program, 'is a program of TorchScript'),
    'folder': (
        write_folder('.metadata', '__0_0.distcp'),
        'folder of torch.distributed.checkpoint; .*dcp_to_torch .*folder',
    ),
    '__0_0.distcp': (write(b'a'), r'is a piece of a folder of torch\.dist.*dcp_to_torch'),
    'weights.tar': (write(b'\x1f\x8b'), 'is compressed by gzip'),
    'flax_model.msgpack': (write(b'\x81'), 'is a file of Flax'),
    'swin.keras': (
        write_zip('metadata.json', 'config.json', 'model.weights.h5'),
        'is a model of Keras; take a file of torch.save',
    ),
    'saved_model': (write_folder('saved_model.pb', 'variables'), 'a model that TensorFlow saved'),
    'model.ckpt': (write_variables, 'is a checkpoint of TensorFlow'),
    'm.ckpt.data-00000-of-00001': (write(b'a'), 'is a checkpoint of TensorFlow'),
    'm.ckpt.index': (write(b'a'), 'is a checkpoint of TensorFlow'),
    'tf': (write_folder('checkpoint', 'm.ckpt-9.index'), 'is a checkpoint of TensorFlow'),
    'swin.mlpackage': (write_folder('Manifest.json', 'Data'), 'is a model of Core ML; take the'),
    'swin.mlmodel': (write(b'\x08'), 'is a model of Core ML'),
    'swin.engine': (write(b'ftrt'), 'is an engine of TensorRT; take the file it was made from'),
    'swin.pdparams': (write_pickle, 'is a file of PaddlePaddle, whose linear layers are transp'),
    'orbax': (write_folder('_METADATA', 'manifest.ocdbt', 'd'), 'is a checkpoint of Orbax'),
    'official.tar': (write_tar, 'is an archive of tar; unpack it with tar -xf'),
    'swin.pth.tar': (write_tar, 'is an archive of tar'),
    'swin.pth.gz': (write_gzip, 'is compressed by gzip; unpack it with gunzip'),
    'swin.pth.bz2': (write(b'BZh9'), 'is compressed by bzip2'),
    'swin.pth.xz': (write(b'\xfd7zXZ\0'), 'is compressed by xz'),
    'swin.pth.zst': (write(b'\x28\xb5\x2f\xfd'), 'is compressed by zstd'),
    'swin.zip': (write_zip('a/b.txt', 'a/swin.pth'), r'archive of zip; unpack it .* a/swin\.pth'),
    'swin.xml': (write(b'<?xml'), 'is a graph of OpenVINO'),
    'swin.params': (write(b'a'), 'is a file of MXNet'),
    'swin.pte': (write(b'aaaaET12'), 'is a program of ExecuTorch'),
    'config.json': (write(b'{}'), 'is a config, not weights'),
    'mask_rcnn_swin_t.py': (write(b'_base_ = []'), 'is a config, not weights'),
    'page.pth': (write(b'\n<!DOCTYPE html>'), 'but a web page; open its address in a browser'),
}


@pytest.mark.parametrize('name', KINDS)
def test_files_of_other_kinds_are_called_what_they_are(name, tmp_path):
    make, words = KINDS[name]
    make(tmp_path / name)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(swin(), tmp_path / name)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['a.weights', 'a.params', 'a.meta', 'a.json', 'a.plan', 'a'])
def test_weights_have_any_name(name, tmp_path):
    for old in (True, False):
        torch.save(ONE, tmp_path / name, _use_new_zipfile_serialization=not old)
        assert_same(by_load_checkpoint(swin, tmp_path / name), loaded(ONE), but='norm')


def test_the_command_that_joins_a_folder_joins_it(tmp_path):
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    checkpoint.save(dict(model=ONE), checkpoint_id=tmp_path / 'folder')
    dcp_to_torch_save(tmp_path / 'folder', tmp_path / 'weights.pth')
    assert_same(by_load_checkpoint(swin, tmp_path / 'weights.pth'), loaded(ONE), but='norm')


def test_zip_files_of_others_are_no_checkpoints(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('a/b.txt', 'hello')
    with pytest.raises(CheckpointError, match='is no whole checkpoint'):
        load_checkpoint(swin(), tmp_path / 'a.zip')
