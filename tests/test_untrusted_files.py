"""Weights files that were damaged, built to do harm, or made for another net: errors, no harm."""

import io
import json
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from functools import cache
from pathlib import Path

import pytest
import torch
from families import TINY, build
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import DATA, Recording
from test_weights import check_refused, prefixed, save
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

from mmbackbones import CheckpointError, SwinTransformer, load_checkpoint
from mmbackbones.registry import MODELS
from mmbackbones.weights import loading

ARCH = dict(dims=(4, 8, 16, 32), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))
TABLE = 'stages.0.blocks.0.attn.bias.relative_position_bias_table'
KINDS = ('zip', 'legacy', 'safetensors')
FILES = settings(max_examples=10 * settings.default.max_examples)


def swin():
    return SwinTransformer(ARCH, window_size=2)


def timm(state):
    """Our names -> those of timm."""
    renames = {'stages.': 'layers.', 'stem.': 'patch_embed.', 'attn.bias.': 'attn.'}
    for ours, theirs in renames.items():
        state = {name.replace(ours, theirs): tensor for name, tensor in state.items()}
    return state


def content(state, kind):
    """The bytes of a file."""
    if kind == 'safetensors':
        return pytest.importorskip('safetensors.torch').save(state)
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=kind == 'zip')
    return buffer.getvalue()


@st.composite
def damages(draw):
    """A function that changes some of the bytes: mostly at the ends, where the structure is."""
    changes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(['flip', 'flip', 'cut', 'insert', 'remove', 'repeat']),
                st.sampled_from([2**8, 2**12, -(2**8), -(2**13), 2**62]),
                st.integers(0, 2**62),
                st.binary(min_size=1, max_size=8),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def damage(file):
        for change, span, at, new in changes:
            at = at % min(abs(span), len(file) + 1)
            at = len(file) - at if span < 0 else at
            head, tail, size = file[:at], file[at:], len(new)
            file = dict(
                flip=head + new + tail[size:],
                cut=head,
                insert=head + new + tail,
                remove=head + tail[16 * size :],
                repeat=head + tail[: 16 * size] + tail,
            )[change]
        return file

    return damage


@cache
def whole(kind):
    """A net, its checkpoint, and the bytes of its file."""
    net = swin()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return net, state, content(state, kind)


@pytest.mark.parametrize('kind', KINDS)
@FILES
@given(damage=damages())
def test_a_damaged_file_loads_whole_or_not_at_all(kind, damage, tmp_path_factory):
    net, state, file = whole(kind)
    net.load_state_dict(state)
    suffix = 'safetensors' if kind == 'safetensors' else 'pth'
    path = tmp_path_factory.getbasetemp() / f'damaged.{suffix}'
    path.write_bytes(damage(file))
    error = None
    try:
        load_checkpoint(net, path)
    except CheckpointError as caught:
        error = str(caught)
    now = net.state_dict()
    assert all(tensor.isfinite().all() for tensor in now.values())
    assert error is None or all(torch.equal(state[name], tensor) for name, tensor in now.items())
    assert error is None or (str(path) in error and '\n' not in error)


class Call:
    """Is pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


def repacked(change, packing=zipfile.ZIP_STORED):
    """A zip file of torch.save, each entry as change(name, bytes)."""
    source = io.BytesIO(content({'weight': torch.zeros(1000)}, 'zip'))
    target = io.BytesIO()
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, 'w', packing) as new:
        for name in whole.namelist():
            new.writestr(name, change(name, whole.read(name)))
    return target.getvalue()


def legacy(stream):
    """A file of the old format, whose content is any pickle."""
    start = b''.join(pickle.dumps(each, 2) for each in (MAGIC_NUMBER, PROTOCOL_VERSION, {}))
    return start + stream + pickle.dumps([], 2)


def larger(name, data):
    """A storage of 10^11 numbers, where there are 1,000."""
    return data.replace(b'M\xe8\x03t', b'\x8a\x06' + (10**11).to_bytes(6, 'little') + b't', 1)


def header(**tensors):
    """A safetensors file of these descriptions, without numbers."""
    text = json.dumps({n: dict(dtype='F32', **values) for n, values in tensors.items()}).encode()
    return struct.pack('<Q', len(text)) + text


def laughs():
    """Tuples of ten tuples of ten ..., sixty deep: short as a file, endless as a text."""
    stream = b'K\x01q\x00'
    for i in range(60):
        stream = b'(' + stream + 9 * (b'h' + bytes([i])) + b'tq' + bytes([i + 1])
    return stream


def beyond():
    """A tensor of more numbers than its storage has."""
    storage = torch.storage.TypedStorage(
        wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float, _internal=True
    )
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, storage, 0, (10**12,), (1,), False, OrderedDict())


def itself():
    state = {}
    state['model'] = state
    return state


PACKED = r'\(\S+ bytes\) is compressed, which torch.save never does'
CLAIMS = r'claims to hold tensors of \S+ bytes'
BROKEN = r'is no whole checkpoint'
ENDLESS = r'would make \de\+\d+ objects'
HOLDS_NONE = r'holds no tensors by name'
BOMBS = {
    'packed numbers.pth': (
        lambda: repacked(lambda n, b: bytes(2**27) if '/data/' in n else b, zipfile.ZIP_DEFLATED),
        PACKED,
    ),
    'packed pickle.pth': (
        lambda: repacked(lambda n, b: bytes(2**27) if '.pkl' in n else b, zipfile.ZIP_DEFLATED),
        PACKED,
    ),
    'larger storage.pth': (lambda: repacked(larger), f'{CLAIMS}|{BROKEN}'),
    'expanded.pth': (lambda: content({'a': torch.zeros(1).expand(10**9)}, 'zip'), CLAIMS),
    'old expanded.pth': (lambda: content({'a': torch.zeros(1).expand(10**9)}, 'legacy'), CLAIMS),
    'repeated.pth': (
        lambda: content({str(i): t for t in [torch.zeros(10**4)] for i in range(99)}, 'zip'),
        CLAIMS,
    ),
    'beyond.pth': (lambda: content({'a': beyond()}, 'zip'), BROKEN),
    'meta.pth': (
        lambda: content({'a': torch.empty(10**12, device='meta')}, 'zip'),
        'asks for .*_meta_tensor',
    ),
    'itself.pth': (lambda: content(itself(), 'zip'), HOLDS_NONE),
    'deep lists.pth': (
        lambda: legacy(b'\x80\x02' + b']' * 10**5 + b'a' * (10**5 - 1) + b'.'),
        HOLDS_NONE,
    ),
    'laughs.pth': (lambda: legacy(b'\x80\x02' + laughs() + b'.'), ENDLESS),
    'laughing name.pth': (lambda: legacy(b'\x80\x02}' + laughs() + b'K\x01s.'), BROKEN),
    'new laughing name.pth': (
        lambda: repacked(lambda n, b: b'\x80\x02}' + laughs() + b'K\x01s.' if '.pkl' in n else b),
        BROKEN,
    ),
    'header.safetensors': (lambda: struct.pack('<Q', 2**60) + b'{}', BROKEN),
    'offsets.safetensors': (
        lambda: header(a=dict(shape=[10**12], data_offsets=[0, 4 * 10**12])),
        BROKEN,
    ),
    'overflow.safetensors': (
        lambda: header(a=dict(shape=[2**32, 2**32], data_offsets=[0, 0])),
        BROKEN,
    ),
}
MEASURE = """
import resource, sys, warnings
from mmbackbones import CheckpointError, load_checkpoint, SwinTransformer
net = SwinTransformer()
usage = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
start = usage()
for path in sys.argv[1:]:
    try:
        load_checkpoint(net, path)
    except CheckpointError:
        print(usage() - start)
"""


@pytest.fixture(scope='module')
def bombs(tmp_path_factory):
    """A folder of all of them."""
    folder = tmp_path_factory.mktemp('bombs')
    for name, (make, _) in BOMBS.items():
        (folder / name).write_bytes(make())
    return folder


@pytest.mark.parametrize('name', BOMBS)
def test_a_bomb_is_refused(name, bombs):
    check_refused(bombs / name, BOMBS[name][1], swin())


def test_bombs_take_no_memory(bombs):
    command = [sys.executable, '-W', 'ignore', '-c', MEASURE, *map(str, bombs.iterdir())]
    root = Path(__file__).parent.parent
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=60)
    megabytes = [int(line) for line in out.stdout.split()]
    assert len(megabytes) == len(BOMBS)
    assert max(megabytes) < 100


ODD = {
    'NaN': (lambda t: t.fill_(torch.nan), r'1 tensors have NaN or infinity \(\S+_table\)'),
    'infinity': (lambda t: t.index_fill_(0, torch.tensor(0), -torch.inf), 'NaN or infinity'),
    'too large for float32': (lambda t: t.double().fill_(1e300), 'NaN or infinity'),
    'integers': (lambda t: t.int(), r'has numbers of torch.int32, expected floating'),
    'booleans': (lambda t: t.bool(), r'has numbers of torch.bool'),
    'complex': (lambda t: t.cfloat(), r'_table has complex numbers; save real ones'),
    'sparse': (lambda t: t.to_sparse(), r'asks for \S+_rebuild_sparse'),
    'sparse rows': (lambda t: t.to_sparse_csr(), r'asks for \S+_rebuild_sparse'),
    'quantized': (
        lambda t: torch.quantize_per_tensor(t, 1.0, 0, torch.qint8),
        r'asks for \S+_rebuild_q',
    ),
    'nested': (lambda t: torch.nested.nested_tensor([t, t[:1]]), r'asks for \S+_rebuild_nested_'),
    'meta': (lambda t: t.to('meta'), r'asks for \S+_rebuild_meta_'),
    'a number': (lambda t: t.sum(), r'\(\) in the file'),
    'nothing': (lambda t: t[:0], 'check arch'),
    'no square': (lambda t: t[:5], 'not laid out as in files of format'),
    'no tensor': (lambda t: t.tolist(), r'lacks 1 tensors'),
}


@pytest.mark.parametrize('what', ODD)
@pytest.mark.filterwarnings('ignore')
def test_odd_tensors_are_named(what, tmp_path):
    make, words = ODD[what]
    state = swin().state_dict()
    state[TABLE] = make(state[TABLE].clone())
    check_refused(save(tmp_path, state), words, swin())
    check_refused(save(tmp_path, timm(state)), words, swin())


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.half, torch.double])
def test_other_precisions_are_converted(kind, dtype, tmp_path):
    state = {name: tensor.to(dtype) for name, tensor in swin().state_dict().items()}
    path = tmp_path / ('f.safetensors' if kind == 'safetensors' else 'f.pth')
    path.write_bytes(content(state, kind))
    net = swin()
    load_checkpoint(net, path)
    for name, tensor in net.state_dict().items():
        assert tensor.dtype == torch.float
        assert torch.equal(tensor, state[name].float())


def test_infinity_in_what_is_dropped_is_no_matter(tmp_path):
    state = timm(swin().state_dict())
    mask = {'layers.1.blocks.0.attn_mask': torch.full((4, 9, 9), -torch.inf)}
    report = load_checkpoint(swin(), save(tmp_path, state | mask))
    assert report.dropped == list(mask)


DOUBLES = {
    'with and without a prefix': lambda s: s | prefixed(s, '_orig_mod.'),
    'of two formats': lambda s: timm(s) | {'layers.0.downsample.x': torch.zeros(1)} | s,
}


@pytest.mark.parametrize('what', DOUBLES)
def test_two_tensors_of_one_name_are_an_error(what, tmp_path):
    state = DOUBLES[what](dict(swin().state_dict()))
    check_refused(save(tmp_path, state), 'has two tensors for', swin())


@pytest.mark.parametrize(
    ('state', 'words'),
    [
        ({}, 'holds no tensors by name, but nothing'),
        ({'model': {}}, 'but nothing'),
        ({'model': 3}, 'but int'),
        ({7: torch.zeros(1)}, 'but nothing'),
        ({'a' * 10**6 + '\n': torch.zeros(1)}, r'names start with a{100};'),
        ({f'{i}\n' * 100: torch.zeros(1) for i in range(99)}, 'and 95 more'),
    ],
)
def test_odd_dictionaries(state, words, tmp_path):
    check_refused(save(tmp_path, state), words, swin())


@pytest.mark.parametrize('whose', sorted(TINY))
def test_our_files_of_other_families_are_refused(whose, tmp_path):
    path = save(tmp_path, build(whose).state_dict())
    for name in set(TINY) - {whose}:
        words = f'of no format known for {name}|no checkpoint of this {name}: it lacks'
        check_refused(path, f'({words}).*check arch and family', build(name))


@pytest.mark.parametrize('name', sorted(path.stem for path in DATA.glob('*.npz')))
def test_published_files_of_other_families_are_refused(name, monkeypatch):
    """By the names and shapes alone, for nets of a published size."""
    keys = Recording(name).meta['keys']
    tensors = {n.removeprefix('backbone.'): torch.empty(s, device='meta') for n, s, *_ in keys}
    monkeypatch.setattr(loading, 'read_checkpoint', lambda *_: tensors)
    own = name.split('_')[0].replace('swin', 'swintransformer')
    families = {family for family in TINY if family.lower() != own}
    assert len(families) == len(TINY) - 1
    for family in sorted(families):
        with pytest.raises(CheckpointError, match='check arch and family') as caught:
            load_checkpoint(weightless(family), 'f.pth')
        hint = re.search('as those of (.*); check|unknown ones|not laid out', str(caught.value))
        assert own in (hint[1] or own).lower()


@cache
def weightless(family):
    """A net of a published size that cannot load anything."""
    with torch.device('meta'):
        net = MODELS.get(family)()
    net.load_state_dict = None
    return net
