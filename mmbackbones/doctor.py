"""Whether the environment can build, train and test detectors, and what to do if not."""

import shutil
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from tempfile import TemporaryFile
from typing import NamedTuple

import torch
from torch.torch_version import TorchVersion

from . import operators as plain
from .weights.downloading import cache_folder

# The versions that the tests run with.
FAMILIES = {
    'OneDL': {
        'onedl-mmengine': '0.10.12',
        'onedl-mmcv': '2.3.6',
        'onedl-mmdetection': '3.5.1',
        'onedl-mmsegmentation': '1.4.2',
    },
    'OpenMMLab': {
        'mmengine': '0.10.7',
        'mmcv': '2.1.0',
        'mmcv-lite': '2.1.0',
        'mmdet': '3.3.0',
        'mmsegmentation': '1.2.2',
    },
}
BUILD = (
    'pip install "{}" wheel ninja psutil packaging, then '
    '{}pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps {}'
)
UNBUILT = (
    'use the operators in plain PyTorch of mmbackbones by an mmcv without its own: '
    'pip install --force-reinstall --no-deps --no-cache-dir onedl-mmcv; or build it: '
)
UNBUILT_ORIGINAL = (
    'use the operators in plain PyTorch of mmbackbones by an mmcv without its own: '
    'pip uninstall -y mmcv, then pip install --no-deps mmcv-lite==2.1.0; or build it: '
)
INSTALL = 'pip install "mmbackbones[onedl] @ git+https://github.com/mmbackbones/mmbackbones"'
ROOM = 2  # GB, for the largest of the published files


class Finding(NamedTuple):
    """What is 'ok', worth a 'note', or 'BAD', and for the last two what to do."""

    state: str
    text: str
    cure: str = ''


def examine():
    """Everything that a detector needs, one `Finding` after the other."""
    for check in (python, pytorch, gpus, torchvision, family, versions, packages, operators, cache):
        yield from check()


def python():
    """Whether the tests were run with this Python."""
    running = sys.version_info[:2]
    state = 'ok' if running < (3, 15) else 'note'
    if running < (3, 10):
        state = 'BAD'
    cure = 'the tests were run with Python 3.10 to 3.14; take one of these'
    number = '.'.join(map(str, sys.version_info[:3]))
    yield Finding(state, f'Python {number}', cure)


def pytorch():
    """Which torch, and what it was built for."""
    ok = torch.__version__ >= '2.6'
    kind = f'CUDA {torch.version.cuda}' if torch.version.cuda else torch.version.hip or 'the CPU'
    text = f'torch {torch.__version__}, built for {kind}'
    yield Finding('ok' if ok else 'BAD', text, 'mmbackbones needs torch 2.6 or newer; upgrade it')


def gpus():
    """The GPUs, or why there are none."""
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(index)
            yield Finding('ok', f'GPU {index}: {found.name}, {found.total_memory / 2**30:.0f} GiB')
    elif not shutil.which('nvidia-smi'):
        yield Finding('ok', 'no GPU and no driver of one; all runs on the CPU')
    elif not torch.version.cuda:
        cure = 'install a torch that is built for CUDA, and build mmcv anew with it'
        yield Finding('note', 'nvidia-smi is here, but this torch cannot use a GPU', cure)
    else:
        cure = (
            'run nvidia-smi: if it fails, mend the driver; if it shows an older CUDA than that of '
            'torch, update the driver or take a torch for that CUDA; else look at '
            'CUDA_VISIBLE_DEVICES, and whether a container was started with its GPUs'
        )
        yield Finding('BAD', f'torch finds no GPU, though nvidia-smi is here: {cuda_error()}', cure)


def cuda_error():
    """What CUDA says when it is asked to start."""
    try:
        torch.cuda.init()
    except Exception as error:  # whatever it is, is the reason
        return first_line(error)
    return 'CUDA starts, and sees no device'


def first_line(error):
    """What an error says, without the traces that torch and mmcv append."""
    return str(error).strip().partition('\n')[0]


def torchvision():
    """Whether a torchvision, which nothing here needs, fits: mmengine asks any that is there."""
    try:
        found = import_module('torchvision').__version__
    except Exception as error:  # a missing operator is a RuntimeError, a missing library an OSError
        if isinstance(error, ModuleNotFoundError) and error.name == 'torchvision':
            yield Finding('ok', 'torchvision is not installed, and nothing here needs it')
            return
        text = f'torchvision does not fit torch {torch.__version__}, so trainings stop: {error}'
        cure = 'pip uninstall torchvision, or install it from the index where this torch is from'
        yield Finding('BAD', text, cure)
    else:
        yield Finding('ok', f'torchvision {found} imports')


def installed(names):
    """{name: version} of those packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def family():
    """Which OpenMMLab family is installed; both at once overwrite each other's files."""
    found = {name: installed(packages) for name, packages in FAMILIES.items()}
    listed = '; '.join(
        f'{name}: ' + ', '.join(f'{package} {number}' for package, number in packages.items())
        for name, packages in found.items()
        if packages
    )
    if not listed:
        yield Finding('BAD', 'no OpenMMLab family is installed', f'install one: {INSTALL}')
    elif all(found.values()):
        others = ' '.join(found['OpenMMLab'])
        cure = f'keep one family: pip uninstall {others}, then reinstall the other'
        yield Finding('BAD', f'two families in one place, {listed}', cure)
    else:
        yield Finding('ok', listed)


def versions():
    """Packages of a family that are not those we test with, or cannot work together."""
    tested = {name: number for packages in FAMILIES.values() for name, number in packages.items()}
    for name, number in installed(tested).items():
        if name == 'mmcv' and TorchVersion(number) >= '2.2':
            text = f'mmcv {number} is refused by mmdet 3.3.0 and mmsegmentation 1.2.2'
            yield Finding('BAD', text, build())
        elif number != tested[name]:
            cure = f'if something fails, try the one that is: pip install {name}=={tested[name]}'
            yield Finding('note', f'{name} {number} is not the version that is tested', cure)


def packages():
    """Whether the packages of the family import."""
    for name in ('mmengine', 'mmcv', 'mmdet', 'mmseg'):
        try:
            yield Finding('ok', f'{name} {import_module(name).__version__} imports')
        except Exception as error:  # whatever an import runs into is the finding
            text = f'{name} does not import: {type(error).__name__}: {error}'
            yield Finding('BAD', text, f'{INSTALL}; for mmcv see .github/TROUBLESHOOTING.md')


def operators():
    """Which operators mmcv has, and whether they are right on every kind of device."""
    left = plain.compiled() and plain.installed()
    text = f'mmcv uses {plain.state()}' + (f'; {left} is not needed any more' if left else '')
    yield Finding('note' if left else 'ok', text, 'python -m mmbackbones operators --remove')
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
    for device in devices:
        try:
            found = operate(device)
        except Exception as error:  # a missing extension, or one that was built for another torch
            text = f'mmcv has no working operators on {device}: {first_line(error)}'
            yield Finding('BAD', text, build(device))
            continue
        right = found == ([0, 2], [2.5, 4.5, 10.5, 12.5])
        text = 'nms keeps {} of 3 boxes, roi_align gives {}'.format(*found)
        state, word = ('ok', 'run') if right else ('BAD', 'are wrong')
        yield Finding(state, f'mmcv operators {word} on {device}: {text}', build(device))


def operate(device):
    """The boxes that mmcv's nms keeps of three, and what its roi_align makes of 0, 1, ..., 15."""
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 29, 29]], device=device)
    kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1]
    image = torch.arange(16.0, device=device).view(1, 1, 4, 4)
    whole = torch.tensor([[0.0, 0, 0, 4, 4]], device=device)
    return kept.tolist(), roi_align(image, whole, (2, 2)).flatten().tolist()


def build(device='cpu'):
    """How to have the mmcv of the family that is installed without operators, or with them."""
    compiler = '' if shutil.which('c++') else 'install a C++ compiler (Debian: g++), then '
    if device == 'cuda' and not shutil.which('nvcc'):
        compiler += f'install nvcc of CUDA {torch.version.cuda}, then '
    original = installed(FAMILIES['OpenMMLab'])
    return (
        (UNBUILT_ORIGINAL if original else UNBUILT)
        + compiler
        + BUILD.format(
            'setuptools<81' if original else 'setuptools',
            'FORCE_CUDA=1 ' if device == 'cuda' else '',
            'mmcv==2.1.0' if original else 'onedl-mmcv',
        )
    )


def cache():
    """Whether weights can be downloaded to where they are kept."""
    folder, cure = cache_folder(), 'name another folder: export TORCH_HOME=FOLDER'
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        TemporaryFile(dir=there).close()  # the owner and mode do not say it of every disk
        free = shutil.disk_usage(there).free / 1e9
    except OSError as error:
        text = f'weights cannot be kept in {folder}: {error.strerror}'
        yield Finding('BAD', text, cure)
        return
    text = f'weights are kept in {folder}: {free:.1f} GB free'
    largest = f'the largest take {ROOM} GB; make room, or {cure}'
    yield Finding('ok' if free >= ROOM else 'note', text, largest)
