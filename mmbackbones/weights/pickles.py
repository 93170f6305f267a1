"""Files of `torch.save` and plain pickles -> what they hold, without running anything of a file.

The reader is our own: it imports nothing that a file names, knows the functions that make tensors,
arrays and plain data, and holds what they make against the size of the file.
"""

import io
import pickle
import re
import struct
import sys
import zipfile
from collections import Counter, OrderedDict
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from torch.serialization import MAGIC_NUMBER

from .errors import CheckpointError, damaged, refused

OBJECTS = 10**7  # of one file; what is published has thousands


class Excess(Exception):
    """A file would take more memory or time than one of its size can need."""


class Ignored(dict):
    """Stands for an object of a training run (its options, its logs) that is no weight."""

    def __init__(self, *args):
        super().__init__()


@dataclass
class Odd:
    """Stands for a tensor of a kind that no backbone has."""

    kind: str


@dataclass
class Function:
    """What a file may call, and can do nothing else with: its attributes are out of reach."""

    make: Any


def rebuilt(rebuild, *args):
    """A tensor of PyTorch's functions for files, without the file's hooks."""
    return rebuild(*args[:5], OrderedDict(), *args[6:])


def parameter(data, grad=True, *hooks_and_attributes):
    """A parameter without its hooks and attributes."""
    return data if isinstance(data, Odd) else torch.nn.Parameter(data, grad)


def container(kind, content=()):
    """A dict or set of what a list or dict holds."""
    if not issubclass(kind, dict):
        return kind(checked_keys(content))
    pairs = dict.items(content) if isinstance(content, dict) else content
    return put(kind(), [each for key, value in pairs for each in (key, value)])


def put(target, items):
    """Give a dict its items: keys and values in turn."""
    checked_keys(items[::2])
    if type(target) not in (Ignored, dict, OrderedDict, Counter, ConfigDict):
        raise pickle.UnpicklingError('it names values of what is no dict')
    kind = OrderedDict if type(target) is OrderedDict else dict  # a ConfigDict copies lists
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(target) is not Ignored:
            kind.__setitem__(target, key, value)
    return target


def extend(target, items):
    """Give a list its items."""
    if type(target) not in (Ignored, list):
        raise pickle.UnpicklingError('it appends to what is no list')
    if type(target) is list:
        target.extend(items)


def checked_keys(keys):
    """Keys, after a check that they cost little to hash, and cannot be many of one hash."""
    for key in keys:
        if type(key) not in (str, bytes, int, float, bool, type(None)) or (
            type(key) is int and abs(key) >= 2**61 - 1
        ):
            check_objects(key)
            raise pickle.UnpicklingError('a key is neither a name nor a number')
    return keys


def number_type(text, *options):
    """A type of NumPy's numbers or texts that is this file's own; other arrays are ignored."""
    known = isinstance(text, str) and re.fullmatch('[?]|[biufcSU][0-9]{1,5}', text)
    return np.dtype(text, copy=True) if known else Ignored()


def number(dtype, data=b''):
    """A number or text of NumPy's."""
    return np.ndarray((), dtype, data)[()] if isinstance(dtype, np.dtype) else Ignored()


def fill(array, state):
    """Give an array of a file its shape and numbers; one of objects stays empty."""
    _, shape, dtype, by_columns, data = state
    if isinstance(dtype, np.dtype):
        sizes = len(shape) <= 64 and all(type(n) is int and n >= 0 for n in shape)
        if not sizes or type(data) is not bytes or len(data) != prod(shape) * dtype.itemsize:
            raise pickle.UnpicklingError('an array has more or less numbers than it says')
        array.__setstate__((1, tuple(shape), dtype, by_columns is True, data))


def set_byte_order(dtype, state):
    """Give a type of NumPy that is this file's own the byte order that its state says."""
    if state[1] in ('<', '>'):
        known = dtype.__reduce__()[2]
        dtype.__setstate__((known[0], state[1], *known[2:]))


# What files hold beside tensors, read as `Ignored`; by getattr histories name their statistics.
HARMLESS = """
    argparse.Namespace yacs.config.CfgNode mmcv.utils.config.ConfigDict collections.deque
    builtins.getattr pathlib.PosixPath pathlib._local.PosixPath numpy.ndarray torch.Tensor
    torch.nn.parameter.Buffer torch.serialization._get_layout torch.per_tensor_affine
    torch.per_channel_affine
"""
ODD = dict(
    qtensor='quantized',
    sparse_tensor='sparse',
    sparse_csr_tensor='sparse',
    nested_tensor='nested',
    meta_tensor_no_storage='empty',
)
MAKERS = {
    **{f'torch._utils._rebuild_{name}': partial(lambda kind, *args: Odd(kind), kind)
       for name, kind in ODD.items()},
    'torch._utils._rebuild_tensor': torch._utils._rebuild_tensor,
    'torch._utils._rebuild_tensor_v2': partial(rebuilt, torch._utils._rebuild_tensor_v2),
    'torch._utils._rebuild_tensor_v3': partial(rebuilt, torch._utils._rebuild_tensor_v3),
    'torch._tensor._rebuild_from_type_v2': lambda function, kind, args, state: function.make(*args),
    'torch._utils._rebuild_parameter': parameter,
    'torch._utils._rebuild_parameter_with_state': parameter,
    'torch.nn.parameter.Parameter': parameter,
    'torch.Size': lambda size=(): torch.Size(size),
    'torch.device': lambda *names: torch.device(*checked_keys(names)),
    'collections.OrderedDict': partial(container, OrderedDict),
    'collections.Counter': partial(container, Counter),
    'mmengine.config.config.ConfigDict': partial(container, ConfigDict),
    'builtins.set': partial(container, set),
    'builtins.bytes': lambda: b'',
    '_codecs.encode': lambda text, encoding: text.encode('latin1'),  # how pickles hold bytes
    'mmengine.logging.history_buffer.HistoryBuffer': lambda: HistoryBuffer(),
    'numpy.dtype': number_type,
}  # fmt: skip
MAKERS['torch.tensor._rebuild_from_type_v2'] = MAKERS['torch._tensor._rebuild_from_type_v2']
for core in ('numpy.core', 'numpy._core'):  # of NumPy 1 and 2
    MAKERS[f'{core}.multiarray._reconstruct'] = lambda *args: np.zeros(0)
    MAKERS[f'{core}.multiarray.scalar'] = number
KNOWN: dict[str, Any] = {name: Function(make) for name, make in MAKERS.items()}
history = 'mmengine.logging.history_buffer.HistoryBuffer'  # whose methods later protocols name
HARMLESS += ' '.join(f' {history}.{name}' for name in ('min', 'max', 'current', 'mean'))
KNOWN |= dict.fromkeys(HARMLESS.split(), Function(Ignored))
KNOWN |= {f'torch.{name}': t for name, t in vars(torch).items() if isinstance(t, torch.dtype)}
STORAGES = {name: s for name, s in vars(torch).items() if name.endswith('Storage')}


class Instructions(dict):
    """What a reader does at each code, so often as a file may ask."""

    left = OBJECTS

    def __getitem__(self, code):
        self.left -= 1
        if self.left < 0:
            raise Excess(f'would make {OBJECTS:.0e} objects or more')
        return super().__getitem__(code)


class Reader(pickle._Unpickler):
    """Reads the pickles of a file, and the tensors that subclasses find in it."""

    def __init__(self, file, stream, map_location):
        super().__init__(stream, encoding='latin1')
        self.dispatch = Instructions(self.dispatch)
        self.file, self.claimed, self.storages = file, 0, {}
        self.restore = torch.serialization._get_restore_location(map_location)

    def load(self):
        self.memo = {}
        return super().load()

    def claim(self, count):
        """Raise if all that is made takes more bytes than a file that shares some can need."""
        self.claimed += count
        if self.claimed > 3 * self.file.size:  # storages once, and their tensors twice
            raise Excess(
                f'claims to hold tensors of {self.claimed:,} bytes, of which it repeats or lacks '
                f'most'
            )

    def find_class(self, module, name):
        if name in STORAGES and module in ('torch', 'torch.cuda', 'torch.storage'):
            return getattr(STORAGES[name], '_dtype', torch.uint8)
        name = f'{"builtins" if module == "__builtin__" else module}.{name}'
        if name not in KNOWN:
            raise pickle.UnpicklingError(f'GLOBAL {name}')
        return KNOWN[name]

    def call(self, function, args):
        if type(function) is not Function or len(args) > 100:
            raise pickle.UnpicklingError('it calls what is no function')
        made = function.make(*args)
        size = 0 if isinstance(made, torch.nn.Parameter) else getattr(made, 'nbytes', 0)
        if isinstance(made, (bytes, dict, set, torch.Size)):
            size = len(made) * (1 if type(made) is bytes else 8)
        self.claim(32 + size)
        return made

    def load_reduce(self):
        args = self.stack.pop()
        self.append(self.call(self.stack.pop(), args))

    load_newobj = load_reduce

    def load_build(self):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            set_byte_order(target, state)
        elif type(target) is np.ndarray:
            fill(target, state)
            self.claim(target.nbytes)
        elif isinstance(target, HistoryBuffer):
            known = ('max_length', '_log_history', '_count_history')
            target.__setstate__({name: state[name] for name in known})
        elif type(target) is OrderedDict and isinstance(state.get('_metadata'), dict):
            target._metadata = state['_metadata']

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        put(self.stack[-1], [key, value])

    def load_setitems(self):
        items = self.pop_mark()
        put(self.stack[-1], items)

    def load_append(self):
        item = self.stack.pop()
        extend(self.stack[-1], [item])

    def load_appends(self):
        items = self.pop_mark()
        extend(self.stack[-1], items)

    def persistent_load(self, pid):
        kind, dtype, key, location, count = pid[:5]
        kinds = [kind, *map(type, (dtype, key, location, count))]
        if kinds != ['storage', torch.dtype, str, str, int]:
            raise pickle.UnpicklingError('it refers to what is no storage')
        if key not in self.storages:
            self.claim(count * dtype.itemsize)
            data = self.read_storage(key, dtype, count * dtype.itemsize)
            self.storages[key] = self.restore(data, location)
        data = self.storages[key]
        return torch.storage.TypedStorage(wrap_storage=data, dtype=dtype, _internal=True)

    def next_bytes(self, size):
        """A storage of the next bytes of the file."""
        data = torch.empty(size, dtype=torch.uint8)
        if self.file.readinto(data.numpy()) != size:
            raise pickle.UnpicklingError('a storage has less bytes than it says')
        return data.untyped_storage()


# Without what no such file needs: other people's objects, keys and sets that are made at once.
UNKNOWN = 'ext1 ext2 ext4 newobj_ex next_buffer readonly_buffer bytearray8 dict frozenset additems'
Reader.dispatch = {
    code: getattr(Reader, load.__name__)
    for code, load in pickle._Unpickler.dispatch.items()
    if load.__name__.removeprefix('load_') not in UNKNOWN.split()
}


class ArchiveReader(Reader):
    """Reads a zip file of `torch.save`."""

    def __init__(self, file, map_location):
        self.file, self.archive = file, zipfile.ZipFile(file)
        unpacked = sum(entry.file_size for entry in self.archive.infolist())
        if unpacked > file.size:
            raise Excess(f'would unpack to {unpacked:,} bytes, but torch.save packs nothing')
        self.root = self.archive.namelist()[0].partition('/')[0]
        stream = io.BytesIO(file.read(self.go_to('data.pkl')))
        super().__init__(file, stream, map_location)

    def go_to(self, name):
        """The size of an entry, of which the file is then at the beginning; it has no checksum."""
        entry = self.archive.getinfo(f'{self.root}/{name}')
        self.file.seek(entry.header_offset + 26)
        self.file.seek(sum(struct.unpack('<HH', self.file.read(4))), io.SEEK_CUR)
        return entry.file_size

    def read_storage(self, key, dtype, size):
        data = self.next_bytes(min(size, self.go_to(f'data/{key}')))
        if data.nbytes() != size:
            raise pickle.UnpicklingError('a storage has less bytes than it says')
        known = f'{self.root}/byteorder' in self.archive.NameToInfo
        if known and self.file.read(self.go_to('byteorder')) != sys.byteorder.encode():
            data.byteswap(dtype)
        return data

    def content(self):
        return self.load()


class StreamReader(Reader):
    """Reads a file of the older format, whose numbers follow its pickles, or a plain pickle."""

    def __init__(self, file, map_location):
        super().__init__(file, file, map_location)

    def read_storage(self, key, dtype, size):
        return torch.UntypedStorage(size)

    def content(self):
        first = self.load()
        if type(first) is not int or first != MAGIC_NUMBER:
            return first
        self.load(), self.load()  # the version of the format, and what machine wrote it
        content, keys = self.load(), self.load()
        if sorted(checked_keys(keys)) != sorted(self.storages):
            raise pickle.UnpicklingError('it has not all of its numbers')
        for storage in map(self.storages.get, keys):
            self.file.read(8)  # the count of numbers, which the pickle has too
            data = self.next_bytes(storage.nbytes())
            if storage.device.type != 'meta':
                storage.copy_(data)
        return content


class BoundedFile(io.BufferedReader):
    """A file that takes no memory for more than it has, whatever it is asked for."""

    def __init__(self, path):
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size

    def read(self, size=-1):
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def check_objects(content):
    """Raise if a text of it would never end: what is shared counts wherever it is used."""
    counts, todo = {}, [(content, False)]
    while todo:
        each, parts_are_counted = todo.pop()
        if parts_are_counted:
            count = sum(counts.get(id(part), 1) for part in parts(each))
            counts[id(each)] = min(1 + count, OBJECTS)
        elif id(each) not in counts:
            counts[id(each)] = 1  # where a container contains itself
            todo += [(each, True), *((part, False) for part in parts(each))]
    if counts[id(content)] == OBJECTS:
        raise Excess(f'would make {OBJECTS:.0e} objects or more')


def parts(content):
    """What a container contains."""
    inside = vars(content).values() if isinstance(content, (HistoryBuffer, OrderedDict)) else ()
    if isinstance(content, dict):
        return [*dict.values(content), *inside]
    return content if type(content) in (list, tuple) else inside


def read_pickle(path, map_location='cpu'):
    """What `torch.save` or `pickle.dump` wrote, refusing whatever is not data.

    Args:
        path: Of the file.
        map_location: As in `torch.load`.

    Raises:
        CheckpointError: It is damaged, would run code, or outgrow itself.
    """
    size = path.stat().st_size
    try:
        with BoundedFile(path) as file:
            kind = ArchiveReader if file.peek(4)[:4] == b'PK\3\4' else StreamReader
            content = kind(file, map_location).content()
        check_objects(content)
        return content
    except Excess as error:
        raise CheckpointError(
            f'{path} ({size:,} bytes) {error}; it was not read, take another file'
        ) from error
    except pickle.UnpicklingError as error:
        raise refused(path, error) from error
    except Exception as error:  # whatever a parser runs into in foreign bytes is the finding
        raise damaged(path, error) from error


def statistic(owner, name):
    """What stands for `getattr` in a pickle: it finds the statistics of a history, nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'getattr of {owner}, {name} is no statistic of a history')
    return getattr(owner, name)


def trust_trainings() -> None:
    """Let `torch.load(path)` read, in all of this process, what trainings save beside tensors.

    A program that reads their checkpoints by PyTorch itself calls it once at its start: PyTorch
    refuses histories of losses otherwise. Our own functions and tools need nothing of it.
    """
    known: list = [HistoryBuffer, np.ndarray, np.dtype, (statistic, 'builtins.getattr')]
    known += {type(np.dtype(kind)) for kind in 'efdilqBb?'}
    array, number = (value.__reduce__()[0] for value in (np.zeros(0), np.float64(0)))
    for core in ('numpy.core', 'numpy._core'):
        known += [(array, f'{core}.multiarray._reconstruct'), (number, f'{core}.multiarray.scalar')]
    torch.serialization.add_safe_globals(known)
