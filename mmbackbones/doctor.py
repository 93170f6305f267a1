"""Whether the environment can build, train and test detectors, and what to do if not."""

import shutil
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import torch

FAMILIES = {
    'OneDL': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmsegmentation'),
    'OpenMMLab': ('mmengine', 'mmcv', 'mmdet', 'mmsegmentation'),
}
BUILD = (
    'pip install "{}" wheel ninja psutil packaging, then '
    'pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps {}'
)


def examine():
    """Yield (ok, finding, cure) for everything that a detector needs."""
    python = '.'.join(map(str, sys.version_info[:3]))
    yield (
        sys.version_info[:2] in ((3, 10), (3, 11), (3, 12)),
        f'Python {python}',
        'mmcv is known to work with Python 3.10, 3.11 and 3.12; take one of these',
    )
    gpus = f'{torch.cuda.device_count()} GPUs' if torch.cuda.is_available() else 'no GPU'
    yield True, f'torch {torch.__version__}, {gpus}', ''
    yield family()
    for name in ('mmengine', 'mmcv', 'mmdet', 'mmseg'):
        yield loads(name, 'pip install "mmbackbones[onedl]", and see about mmcv in the README')
    yield operators()


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
    present = [name for name, packages in found.items() if packages]
    listed = '; '.join(
        f'{name}: ' + ', '.join(f'{package} {number}' for package, number in found[name].items())
        for name in present
    )
    if len(present) == 1:
        return True, listed, ''
    cure = (
        f'keep one family: pip uninstall {" ".join(found["OpenMMLab"])}, then reinstall the other'
    )
    none = 'install one: pip install "mmbackbones[onedl]"'
    return False, listed or 'no OpenMMLab family is installed', cure if present else none


def loads(name, cure):
    """Whether a package imports."""
    try:
        module = import_module(name)
    except Exception as error:  # whatever an import runs into is the finding
        return False, f'{name} does not import: {type(error).__name__}: {error}', cure
    return True, f'{name} {module.__version__} imports', ''


def operators():
    """Whether mmcv was built with its operators, and they run."""
    try:
        from mmcv.ops import nms

        boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 29, 29]])
        kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist()
    except Exception as error:  # a missing extension, or one that was built for another torch
        compiler = '' if shutil.which('c++') else 'install a C++ compiler (Debian: g++), then '
        return False, f'mmcv has no working operators: {error}', compiler + build()
    return kept == [0, 2], f'mmcv operators run: nms keeps {kept} of 3 boxes', build()


def build():
    """How to compile the mmcv of the family that is installed."""
    original = installed(FAMILIES['OpenMMLab'])
    return BUILD.format(
        *('setuptools<81', 'mmcv==2.1.0') if original else ('setuptools', 'onedl-mmcv')
    )
