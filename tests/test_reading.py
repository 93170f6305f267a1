"""What our own reader of files reads is what PyTorch's reads with its safety off, and no more."""

import pickle
import time
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

from mmbackbones import CheckpointError
from mmbackbones.weights.pickles import read_pickle
from mmbackbones.weights.reading import load_from_checked_file, read_checkpoint

DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
    *(torch.complex64, torch.complex128),
]


def same(one, other):
    """Whether two contents are alike, to the types of their parts."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        layout = one.shape == other.shape and one.stride() == other.stride()
        kind = one.dtype == other.dtype and one.requires_grad == other.requires_grad
        bytes_of = lambda t: t.detach().contiguous().resolve_conj().flatten().view(torch.uint8)  # noqa: E731
        flat = one.numel() == 0 or torch.equal(bytes_of(one), bytes_of(other))
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
    st.sampled_from([np.arange(6.0).reshape(2, 3).T, np.array([], 'f4'), np.array([1], '>i2')]),
    st.sampled_from([torch.Size([2, 3]), torch.device('cpu'), torch.bfloat16, {1, 2}, set()]),
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


@pytest.mark.parametrize('dtype', [torch.uint16, torch.uint64, torch.float8_e5m2])
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
        start = time.perf_counter()
        if name == 'as_type':  # which is ignored
            read(path)
        else:
            with pytest.raises(CheckpointError) as caught:
                read(path)
            assert len(str(caught.value)) < 1000
        assert time.perf_counter() - start < 1, name
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
