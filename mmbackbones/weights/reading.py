"""Checkpoint files and URLs -> tensors by name, without running anything that a file contains."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from .downloading import local_file
from .errors import CheckpointError, damaged, shorten_list, truncate
from .kinds import refuse_other_kinds, shards_of
from .pickles import read_pickle

Tensors = dict[str, Tensor]  # by their names
# Words of the names under which files keep sets of weights, and of those that hold no weights.
SETS = {'state', 'model', 'module', 'net', 'network', 'params', 'weights', 'ema', 'teacher'}
SETS |= {'student', 'backbone', 'encoder', 'averaged', 'shadow', 'shadows'}
NO_SETS = re.compile(r'optim|sched|scaler|sampler|rng|hub|meta')
# Parts that torch.compile and PyTorch's checkpoint wrapper put into names of tensors. If they move,
# such models and their new files are not recognised.
COMPILED, CHECKPOINTED = '_orig_mod', '_checkpoint_wrapped_module'


def read_checkpoint(source: str | Path, map_location: Any = 'cpu') -> Tensors:
    """{name: tensor} of a file or URL, without its outer dicts and the names' `module.`.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is damaged, holds no tensors, or would run code.
    """
    return unwrap(*read_file(source, map_location))


def read_file(source: str | Path, map_location: Any = 'cpu') -> tuple[Any, Path]:
    """What the file of a path or address holds, and its path; see `read_pickle`.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is damaged, would run code, or outgrow itself.
    """
    path = local_file(source)
    refuse_other_kinds(path)
    if not path.exists():
        raise FileNotFoundError(f'there is no checkpoint at {source}; give a file or a URL')
    if path.name.endswith('.index.json'):
        return read_shards(path, map_location), path
    return read_tensors(path, map_location), path


def read_tensors(path: Path, map_location: Any) -> Any:
    """What torch.save or safetensors wrote."""
    if path.suffix == '.safetensors' or is_safetensors(path):
        return read_safetensors(path)
    return read_pickle(path, map_location)


def is_safetensors(path: Path) -> bool:
    """Whether a file of another name begins as those of safetensors do."""
    with path.open('rb') as file:
        start = file.read(10)
    return start[8:] == b'{"' and int.from_bytes(start[:8], 'little') < path.stat().st_size


def read_shards(path: Path, map_location: Any) -> Tensors:
    """{name: tensor} of all the files that an index names."""
    tensors: dict[str, torch.Tensor] = {}
    for shard in shards_of(path):
        found = named_tensors(read_tensors(shard, map_location))
        check_size(found, shard)
        for name, tensor in found.items():
            insert_unique(tensors, name, tensor, path)
    return tensors


def load_from_checked_file(source: str | Path, map_location: Any = 'cpu') -> dict[str, Any]:
    """What a file of a training or of weights holds, for `mmengine.runner.CheckpointLoader`.

    Args:
        source: Path or URL.
        map_location: As in `torch.load`.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is damaged, has no names or NaN, would run code, or outgrow itself.
    """
    content, path = read_file(os.path.expanduser(source), map_location)
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path} holds no tensors by name, but {type(content).__name__}; give a file of weights'
        )
    for tensors in [named_tensors(content), *sets_of_weights(content).values()]:
        check_size(tensors, path)
        check_numbers(tensors, path, masks=tensors)
    if isinstance(content.get('meta'), dict):  # mmengine would run this one as a file of Python
        content['meta'].pop('config', None)
    return content


def load_checked_files_only() -> None:
    """Let mmengine load checkpoints by `load_from_checked_file` alone, in this whole process."""
    # All that mmengine and others have loaders for; '' is among them, which fits every path. If the
    # list moves, no tool can start, as it could not know whether a loader runs code from files.
    addresses = tuple(CheckpointLoader._schemes)
    CheckpointLoader.register_scheme(addresses, loader=load_from_checked_file, force=True)


def read_safetensors(path: Path) -> Tensors:
    """What safetensors wrote."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(f'{path} needs a package: pip install safetensors') from error
    try:
        return load_file(path)
    except Exception as error:  # whatever a parser runs into is the finding
        raise damaged(path, error) from error


def unwrap(content: Any, path: Path) -> Tensors:
    """{name: tensor} of what a file holds, which is no more than it has room for."""
    for found in sets_of_weights(content).values():
        check_size(found, path)
    return without_nests(content, path)


def without_nests(content: Any, source: str | Path) -> Tensors:
    """{name: tensor} of a file's content; of several sets of weights, below the names of each."""
    sets = sets_of_weights(content)
    if not sets:
        nests = content.keys() if isinstance(content, dict) else ()
        content = next((content[n] for n in nests if is_set_of_weights(str(n))), content)
        instead = type(content).__name__
        if isinstance(content, dict):
            instead = shorten_list(name for name in content if isinstance(name, str))
        raise CheckpointError(
            f'{source} holds no tensors by name, but {instead or "nothing"}; give a file of weights'
        )
    tensors = {}
    for nest, found in sets.items():
        for name, tensor in found.items():
            tensors['.'.join((*nest, name)) if len(sets) > 1 else name] = tensor
    tensors = renamed(tensors, without_wrappers, source)
    odd = [name for name, tensor in tensors.items() if tensor.is_complex()]
    if odd:
        raise CheckpointError(f'{source}: {shorten_list(odd)} has complex numbers; save real ones')
    return tensors


def sets_of_weights(content: Any) -> dict[tuple[str, ...], Tensors]:
    """{names of the dicts around it: {name: tensor}} of all weights that a file holds."""
    sets = dict(dicts_of_tensors(content))
    known = {nest: found for nest, found in sets.items() if any(map(is_set_of_weights, nest))}
    return known or {nest: found for nest, found in sets.items() if not nest}


def dicts_of_tensors(content, nest=()):
    """(names of the dicts around it, {name: tensor}) of each dict that has tensors by name."""
    found = named_tensors(content) or named_arrays(content)
    if found:
        yield nest, found
    if isinstance(content, dict) and len(nest) < 4:  # no deeper: a file can contain itself
        for name, inside in content.items():
            if isinstance(name, str) and isinstance(inside, dict) and not NO_SETS.search(name):
                yield from dicts_of_tensors(inside, (*nest, name))


def is_set_of_weights(name: str) -> bool:
    """Whether files keep weights under this name: `state_dict`, `model_ema`, `teacher` ..."""
    return not SETS.isdisjoint(words(name))


def words(name: str) -> set[str]:
    """The set of words in a dotted name."""
    return set(re.split(r'[._]', name.lower())) - {''}


def without_wrappers(name: str) -> str:
    """A name without what PyTorch puts into it where a module is compiled or recomputed."""
    return '.'.join(part for part in name.split('.') if part not in (COMPILED, CHECKPOINTED))


def with_nested_stages(name: str) -> str:
    """A name of timm's `features_only`, which has `layers_0.` for `layers.0.`, as others are."""
    return re.sub(r'(^|\.)(layers|stages)_(\d+)\.', r'\1\2.\3.', name)


def named_tensors(content: Any) -> Tensors:
    """{name: tensor} of a dict, without what it holds beside; nothing of anything else."""
    found = content.items() if isinstance(content, dict) else ()
    return {k: t for k, t in found if isinstance(k, str) and isinstance(t, torch.Tensor)}


def named_arrays(content: Any) -> Tensors:
    """{name: tensor} of a dict of NumPy arrays of numbers, as detectron2 saves them."""
    found = content.items() if isinstance(content, dict) else ()
    arrays = {k: a for k, a in found if isinstance(k, str) and isinstance(a, np.ndarray)}
    return {k: torch.from_numpy(a) for k, a in arrays.items() if a.dtype.kind in 'biuf'}


def strip_prefix(tensors: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], list[str]]:
    """{name without the prefix: tensor} of those that have it, and the names of the others."""
    inside = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    return inside, [name for name in tensors if not name.startswith(prefix)]


def renamed(tensors: Tensors, rename: Callable[[str], str], source: str | Path) -> Tensors:
    """{name: tensor} by other names, of which no two may be equal."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        insert_unique(found, rename(name), tensor, source)
    return found


def insert_unique(named: dict[str, Any], name: str, value: Any, source: str | Path) -> None:
    """named[name] = value, but for a name that has a value already, which is an error."""
    if name in named:
        raise CheckpointError(
            f'{source} has two tensors for {truncate(name)}; which one is meant cannot be known, '
            f'so save one of them alone'
        )
    named[name] = value


def check_size(tensors: Tensors, path: Path) -> None:
    """Raise if tensors have more numbers than their file, of which some may be shared."""
    if path.suffix == '.json':  # an index, whose files were checked
        return
    claimed, size = sum(tensor.nbytes for tensor in tensors.values()), path.stat().st_size
    if claimed > 2 * size:
        raise CheckpointError(
            f'{path} ({size:,} bytes) claims to hold tensors of {claimed:,} bytes, of which it '
            f'repeats or lacks most; it was not loaded, take another file'
        )


def check_numbers(tensors: Tensors, source: str | Path, masks: Collection[str] = ()) -> None:
    """Raise if one has NaN or infinity, but for those that may be masks of 0 and minus infinity."""
    spoilt = [n for n, t in tensors.items() if not (is_finite(t) or (n in masks and is_mask(t)))]
    if spoilt:
        raise CheckpointError(
            f'{source}: {len(spoilt)} tensors have NaN or infinity ({shorten_list(spoilt)}); '
            f'take a file from before its training diverged'
        )


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor has finite numbers alone."""
    if tensor.is_meta or not tensor.numel():
        return True
    if not tensor.is_floating_point():  # integers are; complex numbers may not be
        return bool(tensor.isfinite().all())
    tensor = tensor.float() if tensor.itemsize == 1 else tensor
    return all(end.isfinite() for end in tensor.detach().aminmax())  # thirty times as quick


def is_mask(tensor: Tensor) -> bool:
    """Whether a tensor hides what it is added to: it has zeros and minus infinities alone."""
    kept, hidden = tensor == 0, tensor == -torch.inf
    return bool(kept.any() and (kept | hidden).all())
