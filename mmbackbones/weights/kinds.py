"""Files that are no weights of PyTorch, or a part of some: what they are, and what to do."""

import json
import re
import zipfile
from pathlib import Path

from .errors import CheckpointError, brief, some

ENDINGS_OF_WEIGHTS = ('.pth', '.pt', '.bin', '.ckpt', '.pkl', '.tar', '.safetensors')

ONNX = 'is a graph of ONNX, whose weights have lost their names; take the file it was exported from'
NO_PYTORCH = 'take a file of torch.save or safetensors'
STARTS = {
    b'version https://git-lfs': 'is a pointer of Git LFS, not the file itself; run git lfs pull',
    b'GGUF': f'is a file of GGUF, for llama.cpp; {NO_PYTORCH}',
    b'\x89HDF\r\n\x1a\n': f'is a file of HDF5, as Keras saves weights; {NO_PYTORCH}',
    b'\x93NUMPY': f'is a single array of NumPy (npy); {NO_PYTORCH}',
    b'\x1f\x8b': 'is compressed by gzip; unpack it with gunzip or tar -xzf',
    b'7z\xbc\xaf': 'is an archive of 7z; unpack it',
    b'Rar!': 'is an archive of RAR; unpack it',
}
ENDINGS = {
    '.onnx': ONNX,
    '.npz': f'holds arrays of NumPy (npz), as JAX and TensorFlow save weights; {NO_PYTORCH}',
    '.h5': f'is a file of HDF5, as Keras saves weights; {NO_PYTORCH}',
    '.msgpack': f'is a file of Flax; {NO_PYTORCH}',
    '.gguf': f'is a file of GGUF, for llama.cpp; {NO_PYTORCH}',
    '.tflite': f'is a graph of TensorFlow Lite; {NO_PYTORCH}',
    '.pb': f'is a graph of TensorFlow; {NO_PYTORCH}',
    '.index': f'is a checkpoint of TensorFlow; {NO_PYTORCH}',
    '.engine': 'is an engine of TensorRT; take the file it was built from',
    '.plan': 'is an engine of TensorRT; take the file it was built from',
    '.pt2': 'is a program of torch.export; take the weights it was exported from',
    '.distcp': 'is a piece of a folder of torch.distributed.checkpoint; join that by {join}',
}
JOIN = 'python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} weights.pth'


def refuse_other_kinds(path):
    """Raise if a path leads to what is known and is no file of PyTorch's weights.

    Raises:
        CheckpointError: It says what the file or folder is, and what to do.
    """
    kind = kind_of_folder(path) if path.is_dir() else kind_of_file(path)
    if kind:
        raise CheckpointError(f'{path} {kind}')


def kind_of_folder(path):
    """What a folder holds and which file to give instead."""
    if (path / '.metadata').is_file():
        return f'is a folder of torch.distributed.checkpoint; join it by {joined(path)}'
    if (path / 'zero_to_fp32.py').is_file():
        return (
            f'is a folder of DeepSpeed; join it by python -m deepspeed.utils.zero_to_fp32 {path} '
            f'weights.pth'
        )
    files = sorted(each.name for each in path.iterdir())
    likely = [n for n in files if n.endswith(('.index.json', '.safetensors', '.bin', '.pth'))]
    return f'is a folder; give a file of it, such as {likely[0] if likely else "weights.pth"}'


def kind_of_file(path):
    """What a file is, or None if it could be one of weights."""
    with path.open('rb') as file:
        start = file.read(64)
    if is_web_page(start):
        return 'is a web page; open its address in a browser and save the file that it offers'
    for known, kind in STARTS.items():
        if start.startswith(known):
            return kind
    if start.startswith(b'PK\3\4') and zipfile.is_zipfile(path):
        return kind_of_zip(path)
    if start[:1] + start[2:3] == b'\x08\x12':  # its version, then what wrote it
        return ONNX
    index = re.sub(r'-\d+-of-\d+(?=\.\w+$)', '', path.name)
    if index != path.name and not path.name.startswith(f'{path.stem[:-15]}-00001-of-00001'):
        return f'is one of several pieces; give {index}.index.json, which names them all'
    kind = None if start.startswith(b'PK\3\4') else ENDINGS.get(path.suffix.lower())
    return kind and kind.format(join=joined(path.parent))


def is_web_page(start):
    """Whether a file that begins so is a page for browsers, which servers send instead of files."""
    start = start.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    return start.startswith((b'<!doctype', b'<html'))


def kind_of_zip(path):
    """What a zip file is, or None if torch.save wrote it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a damaged one, of which its reader tells more
        return None
    ends = {name.partition('/')[2] for name in names}
    if 'constants.pkl' in ends:
        return (
            'is a program of TorchScript; take the weights it was made from, or save them by '
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
        )
    if names and all(name.endswith('.npy') for name in names):
        return ENDINGS['.npz']
    if any('exported_program' in name or 'models/model.json' in name for name in names):
        return ENDINGS['.pt2']
    return None


def joined(folder):
    """The command that joins a folder of torch.distributed.checkpoint."""
    return JOIN.format(folder=folder)


def shards_of(path):
    """The files that an index of Hugging Face names, such as model.safetensors.index.json.

    Raises:
        CheckpointError: It is no index, or a file is missing.
    """
    files = [path.with_name(name) for name in names_in_index(path)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise CheckpointError(
            f'{path} names {some(missing)}, which is not beside it; fetch all of its files'
        )
    return files


def names_in_index(path):
    """The names of the files beside an index of Hugging Face that it names.

    Raises:
        CheckpointError: It is no index, or leads to other folders.
    """
    try:
        names = sorted(set(json.loads(path.read_text())['weight_map'].values()))
        outside = [name for name in names if name != Path(name).name or '\\' in name]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f'{path} is no index of weights: {brief(error)}; expected a weight_map'
        ) from error
    if outside:
        raise CheckpointError(
            f'{path} names {some(outside)}, which is not beside it; take an index of its folder'
        )
    return names
