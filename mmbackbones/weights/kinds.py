"""Files that are no weights of PyTorch, or a part of some: what they are, and what to do."""

import json
import re
import zipfile
from pathlib import Path

from .errors import CheckpointError, shorten_list, truncate

ENDINGS_OF_WEIGHTS = ('.pth', '.pt', '.bin', '.ckpt', '.pkl', '.tar', '.safetensors')

NO_PYTORCH = 'take a file of torch.save or safetensors'
SOURCE = 'take the file it was made from'
ONNX = 'is a graph of ONNX, whose weights have lost their names; take the file it was exported from'
HDF5 = f'is a file of HDF5, as Keras saves weights; {NO_PYTORCH}'
TENSORFLOW = f'is a checkpoint of TensorFlow; {NO_PYTORCH}'
KERAS = f'is a model of Keras; {NO_PYTORCH}'
COREML = f'is a model of Core ML; {SOURCE}'
PADDLE = f'is a file of PaddlePaddle, whose linear layers are transposed; {NO_PYTORCH}'
TENSORRT = f'is an engine of TensorRT; {SOURCE}'
OPENVINO = f'is a graph of OpenVINO; {SOURCE}'
CONFIG = 'is a config, not weights; give the file of the weights'
STARTS = {
    b'version https://git-lfs': 'is a pointer of Git LFS, not the file itself; run git lfs pull',
    b'GGUF': f'is a file of GGUF, for llama.cpp; {NO_PYTORCH}',
    b'\x89HDF\r\n\x1a\n': HDF5,
    b'\x93NUMPY': f'is a single array of NumPy (npy); {NO_PYTORCH}',
    b'\x1f\x8b': 'is compressed by gzip; unpack it with gunzip or tar -xzf',
    b'BZh': 'is compressed by bzip2; unpack it with bunzip2 or tar -xjf',
    b'\xfd7zXZ': 'is compressed by xz; unpack it with unxz or tar -xJf',
    b'\x28\xb5\x2f\xfd': 'is compressed by zstd; unpack it with unzstd',
    b'7z\xbc\xaf': 'is an archive of 7z; unpack it',
    b'Rar!': 'is an archive of RAR; unpack it',
}
ENDINGS = {
    '.onnx': ONNX,
    '.npz': f'holds arrays of NumPy (npz), as JAX and TensorFlow save weights; {NO_PYTORCH}',
    '.h5': HDF5,
    '.hdf5': HDF5,
    '.keras': KERAS,
    '.msgpack': f'is a file of Flax; {NO_PYTORCH}',
    '.gguf': f'is a file of GGUF, for llama.cpp; {NO_PYTORCH}',
    '.tflite': f'is a graph of TensorFlow Lite; {NO_PYTORCH}',
    '.pb': f'is a graph of TensorFlow; {NO_PYTORCH}',
    '.index': TENSORFLOW,
    '.meta': TENSORFLOW,
    '.mlmodel': COREML,
    '.pdparams': PADDLE,
    '.pdopt': PADDLE,
    '.pdmodel': PADDLE,
    '.pdiparams': PADDLE,
    '.params': f'is a file of MXNet; {NO_PYTORCH}',
    '.caffemodel': f'is a file of Caffe; {NO_PYTORCH}',
    '.weights': f'is a file of Darknet; {NO_PYTORCH}',
    '.param': f'is a graph of ncnn; {SOURCE}',
    '.mnn': f'is a graph of MNN; {SOURCE}',
    '.xml': OPENVINO,
    '.engine': TENSORRT,
    '.plan': TENSORRT,
    '.trt': TENSORRT,
    '.pte': f'is a program of ExecuTorch; {SOURCE}',
    '.pt2': 'is a program of torch.export; take the weights it was exported from',
    '.distcp': 'is a piece of a folder of torch.distributed.checkpoint; join that by {join}',
    '.py': CONFIG,
    '.json': CONFIG,
    '.yaml': CONFIG,
    '.yml': CONFIG,
}
# What folders are, by a file or folder that they have.
FOLDERS = {
    '.metadata': 'is a folder of torch.distributed.checkpoint; join it by {join}',
    'zero_to_fp32.py': (
        'is a folder of DeepSpeed; join it by python -m deepspeed.utils.zero_to_fp32 {folder} '
        'weights.pth'
    ),
    'saved_model.pb': f'is a model that TensorFlow saved; {NO_PYTORCH}',
    'keras_metadata.pb': KERAS,
    'Manifest.json': COREML,
    '_CHECKPOINT_METADATA': f'is a checkpoint of Orbax, for JAX; {NO_PYTORCH}',
    '_METADATA': f'is a checkpoint of Orbax, for JAX; {NO_PYTORCH}',
    'manifest.ocdbt': f'is a checkpoint of Orbax, for JAX; {NO_PYTORCH}',
}
JOIN = 'python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} weights.pth'


def refuse_other_kinds(path: Path) -> None:
    """Raise if a path leads to what is known and is no file of PyTorch's weights.

    Raises:
        CheckpointError: It says what the file or folder is, and what to do.
    """
    if path.with_name(f'{path.name}.index').is_file() and not path.exists():
        raise CheckpointError(f'{path} {TENSORFLOW}')  # which names it so
    if path.exists() and (kind := kind_of_folder(path) if path.is_dir() else kind_of_file(path)):
        raise CheckpointError(f'{path} {kind}')


def kind_of_folder(path: Path) -> str:
    """What a folder holds and which file to give instead."""
    files = sorted(each.name for each in path.iterdir())
    for known, kind in FOLDERS.items():
        if known in files:
            return kind.format(join=joined(path), folder=path)
    if any(name.endswith('.index') for name in files):
        return TENSORFLOW
    likely = [n for n in files if n.endswith(('.index.json', '.safetensors', '.bin', '.pth'))]
    return f'is a folder; give a file of it, such as {likely[0] if likely else "weights.pth"}'


def kind_of_file(path: Path) -> str | None:
    """What a file is, or None if it could be one of weights."""
    with path.open('rb') as file:
        start = file.read(512)
    if is_web_page(start):
        return 'is no whole checkpoint but a web page; open its address in a browser'
    for known, kind in STARTS.items():
        if start.startswith(known):
            return kind
    if start.startswith(b'PK\3\4') and zipfile.is_zipfile(path):
        return kind_of_zip(path)
    if start[:1] + start[2:3] == b'\x08\x12':  # its version, then what wrote it
        return ONNX
    if start[257:262] == b'ustar':
        return 'is an archive of tar; unpack it with tar -xf'
    if re.search(r'\.data-\d+-of-\d+$', path.name):
        return TENSORFLOW
    piece = re.search(r'-\d+-of-0*(\d+)(?=\.\w+$)', path.name)
    if piece and piece[1] != '1':
        index = path.name.replace(piece[0], '')
        return f'is one of several pieces; give {index}.index.json, which names them all'
    is_readable = start.startswith((b'PK\3\4', b'\x80')) or start[8:10] == b'{"'
    by_ending = ENDINGS.get(path.suffix.lower())
    if (is_readable and by_ending != PADDLE) or path.name.endswith('.index.json'):
        return None
    return by_ending and by_ending.format(join=joined(path.parent))


def is_web_page(start: bytes) -> bool:
    """Whether a file that begins so is a page for browsers, which servers send instead of files."""
    start = start.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    return start.startswith((b'<!doctype', b'<html'))


def kind_of_zip(path: Path) -> str | None:
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
    if {'config.json', 'metadata.json'} <= set(names) and any('.weights' in n for n in names):
        return KERAS
    inside = [name for name in names if name.lower().endswith(ENDINGS_OF_WEIGHTS)]
    if inside and 'data.pkl' not in ends:
        return f'is an archive of zip; unpack it and give {truncate(inside[0])}'
    if names and all(name.endswith('.npy') for name in names):
        return ENDINGS['.npz']
    if any('exported_program' in name or 'models/model.json' in name for name in names):
        return ENDINGS['.pt2']
    return None


def joined(folder: Path) -> str:
    """The command that joins a folder of torch.distributed.checkpoint."""
    return JOIN.format(folder=folder)


def shards_of(path: Path) -> list[Path]:
    """The files that an index of Hugging Face names, such as model.safetensors.index.json.

    Raises:
        CheckpointError: It is no index, or a file is missing.
    """
    files = [path.with_name(name) for name in names_in_index(path)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise CheckpointError(
            f'{path} names {shorten_list(missing)}, which is not beside it; fetch all of its files'
        )
    return files


def names_in_index(path: Path) -> list[str]:
    """The names of the files beside an index of Hugging Face that it names.

    Raises:
        CheckpointError: It is no index, or leads to other folders.
    """
    try:
        names = sorted(set(json.loads(path.read_text())['weight_map'].values()))
        outside = [name for name in names if name != Path(name).name or '\\' in name]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f'{path} is no index of weights: {truncate(error)}; expected a weight_map'
        ) from error
    if outside:
        raise CheckpointError(
            f'{path} names {shorten_list(outside)}, which is not beside it; take an index of its '
            'folder'
        )
    return names
