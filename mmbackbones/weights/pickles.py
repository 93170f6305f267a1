"""Files of `torch.save` and plain pickles -> what they hold; nothing in a file is ever run.

The reader is our own: of the functions that a file asks for, it knows those of tensors, arrays and
plain data by name and makes their results itself. What a file claims is checked against its size.
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
from torch.serialization import MAGIC_NUMBER, default_restore_location

from .errors import CheckpointError, damaged, refused

OBJECTS = 10**7  # of one file; what is published has thousands
PLAIN = (str, bytes, int, float, bool, type(None))  # keys whose hash costs nothing
NUMPY_TYPES = re.compile(r'[<>|=]?([?]|[biufcSU]\d{1,5})')
HISTORY = ('max_length', '_log_history', '_count_history')


class Excess(Exception):
    """A file would take more memory or time than one of its size can need."""


class Ignored(dict):
    """Stands for an object of a training run (its options, its logs) that is no weight."""

    def __init__(self, *args):
        super().__init__()


@dataclass
class Function:
    """What a file names to call it; as nothing else can be done with it, nothing can change it."""

    make: Any


@dataclass
class Storage:
    """The bytes that tensors share, and how to read them."""

    data: Any
    dtype: torch.dtype


@dataclass
class Odd:
    """Stands for a tensor of a kind that no backbone has: sparse, quantized, nested, empty."""

    kind: str


# What published files hold beside tensors. Every name is read as `Ignored`: nothing of it runs.
HARMLESS = (
    'argparse.Namespace',
    'yacs.config.CfgNode',
    'mmcv.utils.config.ConfigDict',
    'collections.deque',
    'builtins.getattr',  # by which a history of losses names its statistics
    'pathlib.PosixPath',
    'pathlib._local.PosixPath',
    'torch.Tensor',
    'torch.nn.parameter.Buffer',
    'torch.serialization._get_layout',
    *(f'torch.per_{scheme}' for scheme in ('tensor_affine', 'channel_affine')),
)
KINDS = dict(
    qtensor='quantized',
    sparse_tensor='sparse',
    sparse_csr_tensor='sparse',
    nested_tensor='nested',
    meta_tensor_no_storage='empty',
)
# The methods of `Reader` that do what functions and classes of these names do.
METHODS = {
    'torch._utils._rebuild_tensor': 'tensor',
    'torch._utils._rebuild_tensor_v2': 'tensor',
    'torch._utils._rebuild_tensor_v3': 'tensor_of_type',
    'torch._utils._rebuild_parameter': 'parameter',
    'torch._utils._rebuild_parameter_with_state': 'parameter',
    'torch.nn.parameter.Parameter': 'parameter',
    'torch._tensor._rebuild_from_type_v2': 'subclass',
    'torch.tensor._rebuild_from_type_v2': 'subclass',
    'torch.Size': 'size_of_tensor',
    'torch.device': 'device',
    'mmengine.logging.history_buffer.HistoryBuffer': 'history',
    '_codecs.encode': 'encode',
    'builtins.bytes': 'encode',
    'builtins.bytearray': 'bytearray',
    'builtins.complex': 'complex',
    'numpy.dtype': 'numpy_type',
    **{f'numpy.{core}.multiarray._reconstruct': 'empty_array' for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': 'scalar' for core in ('core', '_core')},
    **{f'numpy.{core}.numeric._frombuffer': 'array' for core in ('core', '_core')},
}
CONTAINERS = {
    'collections.OrderedDict': OrderedDict,
    'collections.Counter': Counter,
    'mmengine.config.config.ConfigDict': ConfigDict,
    'builtins.set': set,
    'builtins.frozenset': frozenset,
}
# What tensors consist of: types of numbers, and storages, of which only the type matters.
TYPES = {f'torch.{name}': t for name, t in vars(torch).items() if isinstance(t, torch.dtype)}
TYPES |= {
    f'torch.{place}{name}': storage._dtype
    for name, storage in vars(torch).items()
    for place in ('', 'cuda.')
    if name.endswith('Storage') and hasattr(storage, '_dtype')
}
TYPES['torch.storage.UntypedStorage'] = torch.uint8


class Instructions(dict):
    """What a reader does at each code, so often as a file may ask."""

    left = OBJECTS

    def __getitem__(self, code):
        self.left -= 1
        if self.left < 0:
            raise Excess(f'would make {OBJECTS:.0e} objects or more')
        return super().__getitem__(code)

    def __missing__(self, code):
        raise pickle.UnpicklingError('it is no pickle')


class Reader(pickle._Unpickler):
    """Reads the pickles of a file, of `limit` bytes and `data` that subclasses find.

    Nothing that a file names is imported: it is among the names above, or an error.
    """

    def __init__(self, stream, limit, map_location):
        super().__init__(stream, encoding='latin1')
        self.dispatch = Instructions(self.dispatch)
        self.limit, self.claimed, self.map_location = limit, 0, map_location
        self.storages: dict[str, Storage] = {}
        self.meta = str(map_location) == 'meta'

    def claim(self, count):
        """Raise if what is made takes more bytes than a file that shares some of them can need."""
        self.claimed += min(count, 2**62)
        if self.claimed > 3 * self.limit:  # its storages once, and its tensors twice
            raise Excess(
                f'claims to hold tensors of {self.claimed:,} bytes, of which it repeats or lacks '
                f'most'
            )

    def find_class(self, module, name):
        name = f'{"builtins" if module == "__builtin__" else module}.{name}'
        if name in TYPES:
            return TYPES[name]
        if name in METHODS:
            return Function(getattr(self, METHODS[name]))
        if name in CONTAINERS:
            return Function(partial(self.container, CONTAINERS[name]))
        kind = KINDS.get(name.removeprefix('torch._utils._rebuild_'))
        if kind:
            return Function(lambda *args: Odd(kind))
        if name in HARMLESS or name == 'numpy.ndarray':
            return Function(Ignored)
        raise pickle.UnpicklingError(f'GLOBAL {name}')

    def call(self, function, args):
        if type(function) is not Function or type(args) is not tuple or len(args) > 100:
            raise pickle.UnpicklingError('it calls what is no function')
        self.claim(32)
        return function.make(*args)

    def load_reduce(self):
        args = self.stack.pop()
        self.append(self.call(self.stack.pop(), args))

    load_newobj = load_reduce

    def load_build(self):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            set_byte_order(target, state)
        elif type(target) is np.ndarray:
            self.fill(target, state)
        elif isinstance(target, HistoryBuffer):
            target.__setstate__({key: state[key] for key in HISTORY if key in state})
        elif type(target) is OrderedDict and isinstance(state.get('_metadata'), dict):
            target._metadata = state['_metadata']

    def put(self, target, items):
        """Give a dict its items: keys and values in turn."""
        if not isinstance(target, dict) or not all(map(is_plain, items[::2])):
            raise pickle.UnpicklingError('a key is neither a name nor a number')
        if type(target) is not Ignored:
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[key] = value

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self.put(self.stack[-1], [key, value])

    def load_setitems(self):
        items = self.pop_mark()
        self.put(self.stack[-1], items)

    def load_dict(self):
        items = self.pop_mark()
        self.append({})
        self.put(self.stack[-1], items)

    def extend(self, target, items):
        """Give a list or set its items."""
        if type(target) is set and all(map(is_plain, items)):
            target.update(items)
        elif type(target) is list:
            target.extend(items)
        elif type(target) is not Ignored:
            raise pickle.UnpicklingError('it adds to what is no list')

    def load_append(self):
        item = self.stack.pop()
        self.extend(self.stack[-1], [item])

    def load_appends(self):
        items = self.pop_mark()
        self.extend(self.stack[-1], items)

    load_additems = load_appends

    def load_frozenset(self):
        self.append(self.container(frozenset, self.pop_mark()))

    def load_bytearray8(self):
        (count,) = struct.unpack('<Q', self.read(8))
        self.append(bytearray(self.read(count)))

    def persistent_load(self, pid):
        kind, dtype, key, location, count = pid[:5]
        kinds = type(kind), type(dtype), type(key), type(location), kind
        if kinds != (str, torch.dtype, str, str, 'storage'):
            raise pickle.UnpicklingError('it refers to what is no storage')
        whole_numbers([count])
        if key not in self.storages:
            self.claim(count * dtype.itemsize)
            data = self.data(key, dtype, count * dtype.itemsize)
            self.storages[key] = Storage(self.placed(data, location), dtype)
        return Storage(self.storages[key].data, dtype)

    def placed(self, data, location):
        """A storage where `map_location` of `torch.load` says."""
        where = self.map_location
        if callable(where):
            found = where(data, location)
            if found is not None:
                return found
        elif isinstance(where, dict):
            location = where.get(location, location)
        elif where is not None:
            location = str(where)
        return data if self.meta else default_restore_location(data, location)

    def tensor(self, storage, offset, size, stride, grad=False, hooks=None, metadata=None):
        whole_numbers([offset]), whole_numbers(size), whole_numbers(stride)
        last = sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        width = storage.dtype.itemsize
        if 0 not in size and (offset + last + 1) * width > storage.data.nbytes():
            raise pickle.UnpicklingError('a tensor has more numbers than its storage')
        self.claim(prod(size) * width)
        tensor = torch.empty(0, dtype=storage.dtype, device=storage.data.device)
        tensor = tensor.set_(storage.data, offset, tuple(size), tuple(stride))
        tensor = tensor.conj() if metadata and metadata.get('conj') else tensor
        tensor = tensor.neg() if metadata and metadata.get('neg') else tensor
        return tensor.requires_grad_(grad is True)

    def tensor_of_type(self, storage, offset, size, stride, grad, hooks, dtype, metadata=None):
        storage = Storage(storage.data, dtype)
        return self.tensor(storage, offset, size, stride, grad, hooks, metadata)

    def parameter(self, data, grad=True, hooks=None, state=None):
        return data if isinstance(data, Odd) else torch.nn.Parameter(data, grad is True)

    def subclass(self, function, kind, args, state):
        return self.call(function, args)

    def size_of_tensor(self, size=()):
        return torch.Size(whole_numbers(size))

    def device(self, kind, index=None):
        return torch.device(f'{kind:s}' if index is None else f'{kind:s}:{index:d}')

    def history(self):
        return HistoryBuffer()

    def encode(self, text=b'', encoding='latin1'):
        if type(text) not in (str, bytes, bytearray) or encoding not in ('latin1', 'utf-8'):
            raise pickle.UnpicklingError('it takes for text what is none')
        self.claim(len(text))
        return text.encode(encoding) if isinstance(text, str) else bytes(text)

    def bytearray(self, *args):
        return bytearray(self.encode(*args))

    def complex(self, real, imaginary):
        if {type(real), type(imaginary)} != {float}:
            raise pickle.UnpicklingError('a complex number has other parts than numbers')
        return complex(real, imaginary)

    def container(self, kind, content=()):
        self.claim(8 * len(content))
        if issubclass(kind, dict):
            made = kind()
            pairs = dict.items(content) if isinstance(content, dict) else content
            self.put(made, [each for key, value in pairs for each in (key, value)])
            return made
        made = set()
        self.extend(made, list(content))
        return kind(made)

    def numpy_type(self, text, *options):
        """A type of numbers or texts of its own, whose byte order comes later; no other."""
        known = isinstance(text, str) and NUMPY_TYPES.fullmatch(text)
        return np.dtype(text, copy=True) if known else Ignored()

    def empty_array(self, *args):
        return np.zeros(0, np.int8)

    def fill(self, array, state):
        """Give an array its shape and numbers; one of objects stays empty."""
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, Ignored):
            data = self.numbers(data, dtype, shape)
            array.__setstate__((1, tuple(shape), dtype, fortran is True, data))

    def numbers(self, data, dtype, shape):
        """The bytes of an array; an error if there are more or less than it says."""
        data = self.encode(data)
        if len(data) != prod(whole_numbers(shape)) * dtype.itemsize:
            raise pickle.UnpicklingError('an array has more or less numbers than it says')
        return data

    def scalar(self, dtype, data=b''):
        return dtype if isinstance(dtype, Ignored) else self.array(data, dtype, ())[()]

    def array(self, data, dtype, shape, order='C'):
        data = bytearray(self.numbers(data, dtype, shape))
        return np.ndarray(tuple(shape), dtype, data, order=order)


# Without those that would take memory first, or objects that other pickles have left.
UNKNOWN = 'load_ext1 load_ext2 load_ext4 load_newobj_ex load_next_buffer load_readonly_buffer'
Reader.dispatch = {
    code: getattr(Reader, load.__name__)
    for code, load in pickle._Unpickler.dispatch.items()
    if load.__name__ not in UNKNOWN.split()
}


class ArchiveReader(Reader):
    """Reads a zip file of `torch.save`."""

    def __init__(self, file, limit, map_location):
        self.file, self.archive = file, zipfile.ZipFile(file)
        unpacked = sum(entry.file_size for entry in self.archive.infolist())
        if unpacked > limit:
            raise Excess(f'would unpack to {unpacked:,} bytes, but torch.save packs nothing')
        self.root = self.archive.namelist()[0].partition('/')[0]
        super().__init__(io.BytesIO(self.entry('data.pkl')), limit, map_location)
        known = f'{self.root}/byteorder' in self.archive.NameToInfo
        self.order = self.entry('byteorder').decode() if known else 'little'

    def find(self, name):
        """The size of an entry, of which the file is then at the beginning."""
        entry = self.archive.getinfo(f'{self.root}/{name}')
        self.file.seek(entry.header_offset + 26)
        self.file.seek(sum(struct.unpack('<HH', self.file.read(4))), io.SEEK_CUR)
        return entry.file_size

    def entry(self, name):
        return self.file.read(self.find(name))

    def data(self, key, dtype, size):
        if self.find(f'data/{key}') < size:
            raise pickle.UnpicklingError(f'data/{key} has not all of its numbers')
        if self.meta:
            return torch.UntypedStorage(size, device='meta')
        data = read_storage(self.file, size)
        if self.order != sys.byteorder:
            data.byteswap(dtype)
        return data

    def content(self):
        return self.load()


class StreamReader(Reader):
    """Reads a file of the older format, whose numbers follow its pickles, or a plain pickle."""

    def __init__(self, file, limit, map_location):
        super().__init__(file, limit, map_location)
        self.file = file

    def data(self, key, dtype, size):
        return torch.UntypedStorage(size, device='meta' if self.meta else 'cpu')

    def content(self):
        first = self.load()
        if type(first) is not int or first != MAGIC_NUMBER:
            return first
        self.load(), self.load()  # the version of the format, and what machine wrote it
        content = self.load()
        keys = self.load()
        if sorted(map(str, filter(is_plain, keys))) != sorted(self.storages):
            raise pickle.UnpicklingError('it has not all of its numbers')
        for key in keys:
            storage = self.storages[key]
            size = struct.unpack('<q', self.file.read(8))[0] * storage.dtype.itemsize
            if size != storage.data.nbytes():
                raise pickle.UnpicklingError('a storage has another size than it says')
            data = read_storage(self.file, size)
            if not self.meta:
                storage.data.copy_(data)
        return content


class BoundedFile(io.BufferedReader):
    """A file that takes no memory for more than it has, whatever is asked for."""

    def __init__(self, path):
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size

    def read(self, count=-1):
        left = self.size - self.tell()
        return super().read(left if count is None or count < 0 else min(count, left))


def read_storage(file, size):
    """The next bytes of a file."""
    data = torch.empty(size, dtype=torch.uint8)
    if file.readinto(data.numpy()) != size:
        raise EOFError
    return data.untyped_storage()


def whole_numbers(values):
    """The sizes of a tensor, after a check that they are."""
    if len(values) > 64 or any(type(n) is not int or not 0 <= n < 2**63 for n in values):
        raise pickle.UnpicklingError('a tensor has a size that is none')
    return values


def set_byte_order(dtype, state):
    """Give a type of NumPy, which is its reader's alone, the byte order that its pickle says."""
    if state[1] in ('<', '>'):
        known = dtype.__reduce__()[2]
        dtype.__setstate__((known[0], state[1], *known[2:]))


def is_plain(key):
    """Whether a key costs nothing to hash, and whether it cannot collide with many others."""
    return type(key) in PLAIN and (type(key) is not int or abs(key) < 2**61 - 1)


def count_objects(content):
    """How many objects a text of it would name: what is shared counts wherever it is used."""
    counts, todo = {}, [(content, False)]
    while todo:
        each, parts_done = todo.pop()
        if parts_done:
            count = sum(counts.get(id(part), 1) for part in parts(each))
            counts[id(each)] = min(1 + count, OBJECTS)
        elif id(each) not in counts:
            counts[id(each)] = 1  # of a container that contains itself
            todo += [(each, True), *((part, False) for part in parts(each))]
    return counts[id(content)]


def parts(content):
    """What a container contains."""
    if isinstance(content, dict):
        return [*dict.values(content), getattr(content, '__dict__', {}).get('_metadata')]
    if isinstance(content, HistoryBuffer):
        return list(vars(content).values())
    return content if type(content) in (list, tuple) else ()


array, number = (value.__reduce__()[0] for value in (np.zeros(0), np.float64(0)))
DTYPES = ('float16', 'float32', 'float64', 'int32', 'int64', 'uint8', 'bool')


def statistic(owner, name):
    """What stands for `getattr` in a pickle: it finds the statistics of a history, nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'getattr of {owner}, {name} is no statistic of a history')
    return getattr(owner, name)


def trust_trainings() -> None:
    """Let `torch.load(path)` read, for this whole process, what a training saves beside tensors.

    Call it once at the start of a program that reads checkpoints of trainings by PyTorch itself;
    without it PyTorch refuses their histories of losses. Our own functions and tools need none.
    """
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            np.ndarray,
            np.dtype,
            *(type(np.dtype(name)) for name in DTYPES),
            (statistic, 'builtins.getattr'),
            *((array, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
            *((number, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
        ]
    )


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
            content = kind(file, size, map_location).content()
        if count_objects(content) == OBJECTS:
            raise Excess(f'would make {OBJECTS:.0e} objects or more')
        return content
    except Excess as error:
        raise CheckpointError(
            f'{path} ({size:,} bytes) {error}; it was not read, take another file'
        ) from error
    except pickle.UnpicklingError as error:
        raise refused(path, error) from error
    except Exception as error:  # whatever a parser runs into in foreign bytes is the finding
        raise damaged(path, error) from error
