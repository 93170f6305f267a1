"""Checkpoint files and URLs -> tensors by name, without running anything that a file contains."""

import pickle
import re
from contextlib import contextmanager

import torch

from .bombs import bomb
from .downloading import local_file
from .errors import CheckpointError


class Ignored(dict):
    """Stands for an object of a training run (its options, its logs) that is no weight."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def __setstate__(self, state):
        pass


# What published files hold beside tensors. Every name is read as `Ignored`: nothing of it runs.
HARMLESS = (
    'argparse.Namespace',
    'yacs.config.CfgNode',
    'mmcv.utils.config.ConfigDict',
    'mmengine.config.config.ConfigDict',
    'mmengine.logging.history_buffer.HistoryBuffer',
    'collections.deque',
    '_codecs.encode',
    'builtins.getattr',
    '__builtin__.getattr',
    'pathlib.PosixPath',
    'pathlib._local.PosixPath',
    'numpy.ndarray',
    'numpy.dtype',
    'numpy.core.multiarray.scalar',
    'numpy.core.multiarray._reconstruct',
    'numpy._core.multiarray.scalar',
    'numpy._core.multiarray._reconstruct',
    'numpy.dtypes.Float64DType',
    'numpy.dtypes.Float32DType',
    'numpy.dtypes.Int64DType',
)

NESTS = ('state_dict', 'state_dict_ema', 'model', 'model_ema', 'module')
PREFIXES = ('backbone.', 'encoder.')


def read_checkpoint(source, map_location='cpu'):
    """{name: tensor} of a file or URL, without its outer dicts and the names' `module.`.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is damaged, holds no tensors, or would run code.
    """
    return unwrap(*read_file(source, map_location))


def read_file(source, map_location='cpu', trusted=()):
    """What the file of a path or address holds, and its path; see `read_pickle`.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is damaged, would run code, or outgrow itself.
    """
    path = local_file(source)
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint at {source}; give a file or a URL')
    if path.suffix == '.safetensors':
        return read_safetensors(path), path
    return read_pickle(path, map_location, trusted), path


def read_pickle(path, map_location='cpu', trusted=()):
    """What `torch.save` wrote, refusing whatever is not data.

    Args:
        path: Of the file.
        map_location: As in `torch.load`.
        trusted: Pairs of an object and its name in files, which are used as they are; other objects
            that are harmless become `Ignored`.

    Raises:
        CheckpointError: It is damaged, would run code, or outgrow itself.
    """
    try:
        check_size(path)
        with known_globals(trusted):
            return torch.load(path, map_location=map_location, weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise refused(path, error) from error
    except Exception as error:  # whatever a parser runs into in foreign bytes is the finding
        raise damaged(path, error) from error


@contextmanager
def known_globals(trusted):
    """While it lasts, pickles get what is trusted, `Ignored` for what is harmless, nothing else."""
    known = {name: type(name, (Ignored,), {}) for name in HARMLESS}
    known |= {name: value for value, name in trusted}
    others = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        torch.serialization.add_safe_globals([(value, name) for name, value in known.items()])
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)


def check_size(path):
    """Raise if a file would outgrow itself."""
    found = bomb(path)
    if found:
        raise CheckpointError(
            f'{path} ({path.stat().st_size:,} bytes) {found}; it was not read, take another file'
        )


def read_safetensors(path):
    """What safetensors wrote."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(f'{path} needs a package: pip install safetensors') from error
    try:
        return load_file(path)
    except Exception as error:  # as above
        raise damaged(path, error) from error


def refused(path, error):
    """The error for a file that PyTorch does not read with its safety on."""
    foreign = re.search(r'(?:GLOBAL|class|function) (\S+)', str(error))
    if not foreign:
        return damaged(path, error)
    return CheckpointError(
        f'{path} asks for {brief(foreign[1])}, which is no weight and might run code; it was not '
        f'read, take another file or save its tensors alone'
    )


def damaged(path, error):
    """The error for a file that is no checkpoint or only a part of one."""
    reason = str(error).rpartition('WeightsUnpickler error: ')[2] or type(error).__name__
    reason = brief(reason.split('. ')[0])
    return CheckpointError(
        f'{path} ({path.stat().st_size:,} bytes) is no whole checkpoint: {reason}; '
        f'expected a file of torch.save or safetensors, so fetch it again'
    )


def brief(text, length=200):
    """The beginning of a text, on one line."""
    return ' '.join(str(text)[: 2 * length].split())[:length]


def some(names, count=4):
    """The first names, and how many more there are."""
    names = [brief(name, 100) for name in names]
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more


def unwrap(content, path):
    """{name: tensor} of what a file holds, taken out of dicts such as `state_dict`."""
    for _ in NESTS:  # no deeper: a file can contain itself
        nests = [name for name in NESTS if isinstance(content, dict) and name in content]
        content = content[nests[0]] if nests else content
    found = content.items() if isinstance(content, dict) else ()
    found = [(k, v) for k, v in found if isinstance(k, str) and isinstance(v, torch.Tensor)]
    if not found:
        instead = type(content).__name__
        if isinstance(content, dict):
            instead = some(name for name in content if isinstance(name, str))
        raise CheckpointError(
            f'{path} holds no tensors by name, but {instead or "nothing"}; give a file of weights'
        )
    tensors = {}
    for name, tensor in found:
        add(tensors, name.removeprefix('module.'), tensor, path)
    check_tensors(tensors, path)
    return tensors


def prefix_of(tensors):
    """What stands before the names of a backbone in a file."""
    return next((p for p in PREFIXES if any(name.startswith(p) for name in tensors)), '')


def below(tensors, prefix):
    """{name without the prefix: tensor} of those that have it, and the names of the others."""
    inside = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    return inside, [name for name in tensors if not name.startswith(prefix)]


def add(named, name, value, source):
    """named[name] = value, but for a name that has a value already, which is an error."""
    if name in named:
        raise CheckpointError(
            f'{source} has two tensors for {brief(name)}; which one is meant cannot be known, so '
            f'save one of them alone'
        )
    named[name] = value


def check_tensors(tensors, path):
    """Raise if one is no plain array of real numbers, or they have more numbers than the file."""
    odd = [f'{brief(name, 100)} is {kind}' for name, t in tensors.items() if (kind := oddity(t))]
    if odd:
        raise CheckpointError(f'{path}: {some(odd)}; save plain tensors of real numbers')
    claimed = sum(t.numel() * t.element_size() for t in tensors.values())
    size = path.stat().st_size
    if claimed > 2 * size:  # some may share their numbers
        raise CheckpointError(
            f'{path} ({size:,} bytes) claims to hold tensors of {claimed:,} bytes, of which it '
            f'repeats or lacks most; it was not loaded, take another file'
        )


def oddity(tensor):
    """What a tensor is, if not a plain array of real numbers."""
    kinds = dict(
        nested=tensor.is_nested,
        empty=tensor.is_meta,
        quantized=tensor.is_quantized,
        complex=tensor.is_complex(),
        sparse=tensor.layout is not torch.strided,
    )
    return next((kind for kind, found in kinds.items() if found), None)
