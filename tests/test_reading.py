"""What our own reader of files reads is what PyTorch's reads with its safety off, and no more."""

import pickle
import re
import subprocess
import sys
import threading
import time
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.model import initialize
from mmengine.runner import BaseLoop, CheckpointLoader
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

from mmbackbones import CheckpointError, SwinTransformer, load_checkpoint
from mmbackbones.hooks import WholeCheckpointHook
from mmbackbones.weights.pickles import read_pickle
from mmbackbones.weights.reading import (
    load_checked_files_only,
    load_from_checked_file,
    read_checkpoint,
)

DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
    *(torch.complex64, torch.complex128),
]


def as_bytes(tensor):
    """A tensor's numbers, so that those that are none are compared too."""
    return tensor.detach().contiguous().resolve_conj().flatten().view(torch.uint8)


def same(one, other):
    """Whether two contents are alike, to their types; a ConfigDict is read as a dict."""
    one, other = ({**each} if type(each) is ConfigDict else each for each in (one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        layout = one.shape == other.shape and one.stride() == other.stride()
        kind = one.dtype == other.dtype and one.requires_grad == other.requires_grad
        flat = one.numel() == 0 or torch.equal(as_bytes(one), as_bytes(other))
        return layout and kind and flat and one.device == other.device
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and (one == other).all()
    if isinstance(one, HistoryBuffer):
        return same(vars(one), vars(other))
    if isinstance(one, dict):
        attributes = [getattr(each, '_metadata', None) for each in (one, other)]
        keys = list(one) == list(other) and same(*attributes)
        return keys and all(same(dict.get(one, k), dict.get(other, k)) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


@st.composite
def tensors(draw):
    """A tensor of any type, of which others may share the numbers."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    base = torch.randint(0, 2, shape) if dtype == torch.bool else torch.randn(shape) * 50
    base = base.to(dtype)
    change = draw(st.sampled_from(['none', 'part', 'turned', 'parameter', 'number']))
    if change == 'part' and shape and shape[0]:
        return base[1:]
    if change == 'turned' and shape:
        return base.transpose(0, -1)
    if change == 'parameter' and dtype.is_floating_point:
        return torch.nn.Parameter(base, draw(st.booleans()))
    return base


KEYS = st.one_of(st.text(max_size=5), st.integers(-9, 9), st.booleans(), st.none())
LEAVES = st.one_of(
    tensors(),
    KEYS,
    st.floats(),
    st.binary(max_size=9),
    st.integers(-(2**80), 2**80),
    st.sampled_from([np.float64(2.5), np.float32(1), np.int64(3), np.bool_(True), np.str_('ü')]),
    st.sampled_from([np.arange(6.0).reshape(2, 3).T, np.array([], 'f4'), np.array([1], 'i2')]),
    st.sampled_from([torch.Size([2, 3]), torch.bfloat16, {1, 2}, set()]),
)
CONTENTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(OrderedDict),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(ConfigDict),
        st.dictionaries(KEYS, st.integers(0, 5), max_size=3).map(Counter),
        inner.map(lambda each: [each, each]),
    ),
    max_leaves=12,
)


@pytest.mark.parametrize('zipped', [True, False])
@settings(max_examples=10 * settings.default.max_examples)
@given(content=CONTENTS)
def test_files_are_read_as_pytorch_reads_them(content, zipped, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / 'content.pth'
    torch.save(dict(content=content, pad='x' * 10000), path, _use_new_zipfile_serialization=zipped)
    assert same(read_pickle(path), torch.load(path, weights_only=False))


def training():
    """What mmengine saves, with a scheduler of steps, and an optimizer with state."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    model(torch.randn(4, 2)).square().sum().backward()
    optimizer.step()
    history = HistoryBuffer()
    for value in (1.0, 2.0):
        history.update(value)
    return dict(
        meta=dict(epoch=1, iter=2, cfg='a = 1', dataset_meta=dict(classes=('a', 'b')), seed=None),
        state_dict=model.state_dict(),
        message_hub=dict(
            log_scalars={'train/loss': history},
            runtime_info=dict(loss=np.float64(0.5), cfg=ConfigDict(a=[ConfigDict(b=1)])),
            resumed_keys={'train/loss': True},
        ),
        optimizer=optimizer.state_dict(),
        param_schedulers=[dict(milestones=Counter([8, 11]), gamma=0.1)],
    )


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('protocol', [2, 3, 4])
def test_trainings_are_read_as_pytorch_reads_them(zipped, protocol, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    options = dict(_use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    torch.save(training(), path, **options)
    wanted, found = torch.load(path, weights_only=False), load_from_checked_file(path)
    assert same(found, wanted)
    assert found['state_dict']._metadata['1'] == dict(version=2)
    assert found['message_hub']['log_scalars']['train/loss'].mean() == 1.5
    if not zipped:
        return
    for place in ('meta', torch.device('meta'), {'cpu': 'meta'}, lambda data, _: data):
        wanted = torch.load(path, place, weights_only=False)['state_dict']
        found = load_from_checked_file(path, place)['state_dict']
        assert [t.device for t in found.values()] == [t.device for t in wanted.values()]
        assert [t.shape for t in found.values()] == [t.shape for t in wanted.values()]


@pytest.mark.parametrize(
    'dtype', [torch.uint16, torch.uint64, torch.float8_e5m2, torch.float8_e4m3fn]
)
def test_newer_numbers_are_read(dtype, tmp_path):
    torch.save({'a': torch.arange(8).to(dtype)}, tmp_path / 'a.pth')
    assert torch.equal(read_checkpoint(tmp_path / 'a.pth')['a'].int(), torch.arange(8).int())


def test_tensors_that_share_their_numbers_still_do(tmp_path):
    base = torch.arange(1000.0)
    torch.save([base, base[5:9], base.view(10, 100)], tmp_path / 'a.pth')
    base, part, _ = read_pickle(tmp_path / 'a.pth')
    part.fill_(7)
    assert (base[5:9] == 7).all()
    assert base.untyped_storage().data_ptr() == part.untyped_storage().data_ptr()


def repacked(path, change, packing=zipfile.ZIP_STORED):
    """A copy of a file of torch.save, each entry as change(name, bytes), or left out if None."""
    other = path.with_name('repacked.pth')
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, 'w', packing) as copy:
        for name in archive.namelist():
            content = change(name, archive.read(name))
            if content is not None:
                copy.writestr(name, content)
    return other


@pytest.mark.parametrize('order', [b'big', b'little', None])
def test_files_of_another_order_of_bytes_are_refused(order, tmp_path):
    torch.save({'a': torch.arange(9.0)}, tmp_path / 'a.pth')

    def change(name, content):
        return order if name.endswith('byteorder') else content

    other = repacked(tmp_path / 'a.pth', change)
    if order == b'big':
        with pytest.raises(CheckpointError, match='by a machine of another byte order; it was not'):
            read_checkpoint(other)
    else:
        assert torch.equal(read_checkpoint(other)['a'], torch.arange(9.0))
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps({'a': np.array([1, 2], '>i2'), 'pad': 'x' * 99}))
    with pytest.raises(CheckpointError, match='another byte order'):
        read_checkpoint(tmp_path / 'a.pkl')


@pytest.mark.parametrize('packing', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_files_are_refused(packing, tmp_path):
    torch.save({'a': torch.rand(9)}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'is compressed, which torch\.save never does; it'):
        read_checkpoint(repacked(tmp_path / 'a.pth', lambda name, content: content, packing))


def test_numbers_that_were_damaged_are_found_by_their_checksum(tmp_path):
    torch.save({'a': torch.full((99,), 3.0)}, tmp_path / 'a.pth')
    content, number = (tmp_path / 'a.pth').read_bytes(), np.float32(3).tobytes()
    (tmp_path / 'a.pth').write_bytes(content.replace(number, np.float32(4).tobytes(), 1))
    with pytest.raises(CheckpointError, match='is no whole checkpoint: Bad CRC-32'):
        read_checkpoint(tmp_path / 'a.pth')


def test_arguments_that_are_long_and_used_often_take_no_time(tmp_path):
    """By the function that calls another one, too."""
    rebuild = torch._tensor._rebuild_from_type_v2
    for call in (Call(Namespace, *range(101)), Call(rebuild, Namespace, 0, (0,) * 101, 0)):
        torch.save({'a': torch.ones(2), 'b': call}, tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match='calls a function with too much'):
            read_checkpoint(tmp_path / 'a.pth')


def test_checksums_may_be_missing(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({'a': torch.ones(3)}, tmp_path / 'a.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_checkpoint(tmp_path / 'a.pth')['a'], torch.ones(3))


def test_plain_pickles_of_arrays_are_read(tmp_path):
    arrays = {
        'a.weight': np.arange(6, dtype='f4').reshape(2, 3),
        'b': np.float32(3),
        'c': np.array(2),
    }
    content = dict(model=arrays, __author__='me', matching_heuristics=True)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content))
    found = read_checkpoint(tmp_path / 'a.pkl')
    assert list(found) == ['a.weight', 'c']
    assert torch.equal(found['a.weight'], torch.arange(6.0).view(2, 3))


class Call:
    """Is pickled as a call of a function, then given a state."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments, *([] if state is None else [state]))

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize('shape', [(3,), (1, 1), (-1, -2), (2**62, 4), (2.0,), ((2,),), [2]])
def test_arrays_have_the_numbers_that_they_say(shape, tmp_path):
    start = (np.ndarray, (0,), b'b')
    rebuild = np.zeros(0).__reduce__()[0]
    state = (1, shape, np.dtype('f4'), False, bytes(8))
    torch.save({'a': torch.ones(2), 'b': Call(rebuild, *start, state=state)}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='is no whole checkpoint'):
        read_checkpoint(tmp_path / 'a.pth')


def nested(levels, wide=2):
    """Lists that hold the one below twice: short as a file, endless as a text."""
    lists = [1]
    for _ in range(levels):
        lists = [lists] * wide
    return lists


def write(content, path):
    """A file of the old format with a pickle written by hand, its tensors beside."""
    start = b''.join(pickle.dumps(each, 2) for each in (MAGIC_NUMBER, PROTOCOL_VERSION, {}))
    path.write_bytes(start + content + pickle.dumps([], 2))


@pytest.mark.parametrize('read', [read_checkpoint, load_from_checked_file])
@pytest.mark.parametrize('levels', [30, 60, 100])
def test_lists_that_share_lists_are_refused_at_once(levels, read, tmp_path):
    places = dict(
        beside=lambda: dict(state_dict={'a': torch.ones(2)}, b=nested(levels)),
        in_a_call=lambda: {'a': torch.ones(2), 'b': Call(OrderedDict, nested(levels))},
        as_counts=lambda: {'a': torch.ones(2), 'b': Call(Counter, dict(a=nested(levels)))},
        as_config=lambda: {'a': torch.ones(2), 'b': Call(ConfigDict, dict(a=nested(levels)))},
        as_size=lambda: {'a': torch.ones(2), 'b': Call(torch.Size, nested(levels))},
        as_state=lambda: {'a': Call(OrderedDict, state=dict(_metadata=dict(a=nested(levels))))},
        as_type=lambda: {'a': torch.ones(2), 'b': Call(np.dtype, nested(levels))},
        as_device=lambda: {'a': torch.ones(2), 'b': Call(torch.device, nested(levels))},
    )
    for name, make in places.items():
        path = tmp_path / f'{name}.pth'
        torch.save(make(), path)
        start = time.process_time()
        if name in ('as_type', 'as_device'):  # which are ignored
            read(path)
        else:
            with pytest.raises(CheckpointError) as caught:
                read(path)
            assert len(str(caught.value)) < 1000
        assert time.process_time() - start < 1, name
    with pytest.raises(CheckpointError, match=r'would make \de\+\d+ objects'):
        read(tmp_path / 'beside.pth')


@pytest.mark.parametrize('key', ['deep', (1, 2), frozenset([1]), 2**61 - 1, 1j])
def test_keys_are_names_and_numbers(key, tmp_path):
    if key == 'deep':  # deeper than a pickler goes
        write(b'\x80\x02})' + b'\x85' * 10**5 + b'K\x01s.', tmp_path / 'a.pth')
    else:
        torch.save({key: torch.ones(2)}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'is no whole checkpoint|asks for'):
        read_checkpoint(tmp_path / 'a.pth')


def test_containers_of_themselves_are_harmless(tmp_path):
    ring = [torch.ones(2)]
    ring.append(ring)
    torch.save({'a': torch.ones(2), 'ring': ring}, tmp_path / 'a.pth')
    assert torch.equal(read_checkpoint(tmp_path / 'a.pth')['a'], torch.ones(2))


ARCH = dict(dims=(4, 8, 16, 32), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))
SPOILS = {
    'NaN': lambda t: t.fill_(torch.nan),
    'one NaN': lambda t: t.flatten()[:1].fill_(torch.nan),
    'infinity': lambda t: t.flatten()[:1].fill_(torch.inf),
    'minus infinity': lambda t: t.flatten()[:1].fill_(-torch.inf),
}


class Detector(torch.nn.Module):
    """A backbone of ours, a head that starts at zero, and a mask."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = SwinTransformer(ARCH, window_size=2), torch.nn.Linear(32, 2)
        torch.nn.init.zeros_(self.head.bias)
        self.register_buffer('mask', torch.tensor([0.0, -torch.inf]))


def runner_of(model, classes=None):
    """What a hook asks of a runner."""
    warned = []
    dataset = SimpleNamespace(metainfo=dict(classes=classes))
    loop = Loop(SimpleNamespace(dataset=dataset))
    logger = SimpleNamespace(warning=lambda text, *parts: warned.append(text % parts))
    loops = dict(_train_loop=None, _val_loop=dict(type='ValLoop'), _test_loop=loop)
    return SimpleNamespace(model=model, logger=logger, _load_from='a.pth', warned=warned, **loops)


class Loop(BaseLoop):
    """A loop that has only its data."""

    def __init__(self, dataloader):
        self.dataloader = dataloader

    def run(self):
        """Nothing."""


def by_hook(model, path):
    WholeCheckpointHook().after_load_checkpoint(runner_of(model), torch.load(path))


def by_loader(model, path):
    load_checked_files_only()
    CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def by_init_cfg(model, path):
    load_checked_files_only()
    model = torch.nn.Sequential()
    initialize(model, dict(type='Pretrained', checkpoint=str(path)))


@pytest.mark.parametrize('spoil', SPOILS)
@pytest.mark.parametrize('name', ['backbone.stem.norm.weight', 'head.weight', 'head.bias'])
@pytest.mark.parametrize('read', [load_checkpoint, by_hook, by_loader, by_init_cfg])
def test_no_entry_point_takes_numbers_that_are_none(read, name, spoil, tmp_path):
    if (name, spoil) == ('head.bias', 'minus infinity') and read in (by_loader, by_init_cfg):
        return  # by the numbers alone it could be a mask
    model, path = Detector(), tmp_path / 'a.pth'
    torch.save(model.state_dict(), path)
    read(model, path)  # whose mask has infinity
    state = {n: t.clone() for n, t in model.state_dict().items()}
    SPOILS[spoil](state[name])
    torch.save(state, path)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=rf'1 tensors have NaN or infinity \({name}\)'):
        read(model, path)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


@pytest.mark.parametrize('place', ['state_dict', 'ema_state_dict', 'model', None])
@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_trainings_with_nan_are_refused(place, suffix, tmp_path):
    path, state = tmp_path / f'a.{suffix}', {'a': torch.tensor([0.0, torch.nan])}
    if suffix == 'pth':
        torch.save({place: state, 'b': torch.ones(1)} if place else state, path)
    elif place:
        return  # such files have no dicts in dicts
    else:
        pytest.importorskip('safetensors.torch').save_file(state, path)
    with pytest.raises(CheckpointError, match=r'1 tensors have NaN or infinity \(a\)'):
        load_from_checked_file(path)


def as_parameter(tensor):
    return torch.nn.Parameter(tensor)


@pytest.mark.parametrize('kind', [torch.clone, as_parameter])
def test_attributes_of_tensors_are_left_in_the_file(kind, tmp_path):
    net = SwinTransformer(ARCH, window_size=2)
    state = {n: kind(torch.full_like(t, torch.nan)) for n, t in net.state_dict().items()}
    for tensor in state.values():
        tensor.aminmax = tensor.isfinite = HistoryBuffer.min
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='have NaN or infinity'):
        load_checkpoint(net, tmp_path / 'a.pth')
    assert not any(vars(tensor) for tensor in read_pickle(tmp_path / 'a.pth').values())


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    'claim',
    [
        lambda: torch.zeros(1).expand(10**9),
        lambda: torch.zeros(10**6).as_strided((10**4, 10**5), (0, 1)),
        lambda: list(torch.zeros(10**4).expand(100, 10**4)),
    ],
)
def test_trainings_claim_no_more_than_they_have(claim, zipped, tmp_path):
    content = dict(training(), optimizer=dict(state={0: claim()}))
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r'claims to hold tensors of [\d,]+ bytes'):
        load_from_checked_file(tmp_path / 'a.pth', 'meta')


def test_threads_read_at_the_same_time_and_pytorch_is_left_alone(tmp_path, monkeypatch):
    def change(*_):
        pytest.fail('PyTorch was changed')

    before = torch.serialization.get_safe_globals()
    for name in ('clear_safe_globals', 'add_safe_globals', 'safe_globals'):
        monkeypatch.setattr(torch.serialization, name, change)
    torch.save(training(), tmp_path / 'a.pth')
    wanted, found = torch.load(tmp_path / 'a.pth', weights_only=False), []

    def read():
        found.extend(read_pickle(tmp_path / 'a.pth') for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(same(each, wanted) for each in found)
    assert torch.serialization.get_safe_globals() == before


def test_histories_of_a_file_change_no_others(tmp_path):
    methods = dict(HistoryBuffer._statistics_methods)
    history = HistoryBuffer([1.0], [1])
    history.statistics_methods = {'mean': 'something else', 'more': 1}
    torch.save(dict(a=Call(HistoryBuffer, state=vars(history))), tmp_path / 'a.pth')
    assert read_pickle(tmp_path / 'a.pth')['a'].statistics('mean') == 1.0
    assert HistoryBuffer._statistics_methods == methods


def test_the_import_leaves_pytorch_as_it_is():
    code = (
        'import torch; known = lambda: {getattr(each, "__module__", "").split(".")[0] '
        'for each in torch.serialization.get_safe_globals()}; before = known();'
        'import mmbackbones; assert known() <= before | {"torch"};'
        'mmbackbones.trust_trainings(); assert "mmengine" in known()'
    )
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, timeout=60)


@pytest.mark.parametrize(
    'meta', [dict(dataset_meta=dict(classes=('b', 'a'))), dict(CLASSES=['b', 'a'])]
)
def test_heads_of_other_classes_start_anew_where_they_may(meta):
    model = Detector()
    state = {name: torch.full_like(t, 7) for name, t in model.state_dict().items()}
    checkpoint = dict(meta=meta, state_dict=state)
    runner = runner_of(model, ('a', 'b'))
    WholeCheckpointHook('head').after_load_checkpoint(runner, checkpoint)
    assert not (model.head.weight == 7).any()
    assert (model.backbone.stem.norm.weight == 7).all()
    assert (checkpoint['state_dict']['head.bias'] == 0).all()
    wanted = 'a.pth has the classes b, a and the dataset a, b: head will start anew'
    assert runner.warned == [wanted, 'starting anew, as allow_new says: head.weight, head.bias']


@pytest.mark.parametrize(
    ('theirs', 'ours', 'new', 'words'),
    [
        (['a', 'b'], ('a', 'b'), 'head', ''),
        (['a', 'b'], ('a', 'b'), '', ''),
        (['b', 'a'], ('a', 'b'), '', 'has the classes b, a and the dataset a, b: what was learned'),
        (['b', 'a'], ('a', 'b', 'c'), '', ''),
        ([*'abcdefgh'], [*'abcdefhg'], '', 'has the classes g, h and the dataset h, g: what was'),
        (None, ('a', 'b'), 'head', r'classes \? and the dataset a, b: not compared, so head kept'),
        (['a', 'b'], None, 'head', r'classes a, b and the dataset \?: not compared, so head kept'),
        (None, ('a', 'b'), '', ''),
    ],
)
def test_classes_are_compared(theirs, ours, new, words):
    model = Detector()
    state = {name: torch.full_like(t, 7) for name, t in model.state_dict().items()}
    runner = runner_of(model, ours)
    checkpoint = dict(meta=dict(dataset_meta=dict(classes=theirs)), state_dict=state)
    WholeCheckpointHook([new] if new else []).after_load_checkpoint(runner, checkpoint)
    assert (model.head.weight == 7).all()
    assert len(runner.warned) == bool(words)
    assert re.search(words, ''.join(runner.warned))


def test_parts_that_a_model_lacks_are_named():
    state = dict(state_dict=Detector().state_dict())
    with pytest.raises(CheckpointError, match='no part haed to start anew; did you mean head'):
        WholeCheckpointHook('haed').after_load_checkpoint(runner_of(Detector()), state)
    with pytest.raises(CheckpointError, match=r'no part roi .* mean backbone or h'):
        WholeCheckpointHook('roi').after_load_checkpoint(runner_of(Detector()), state)
