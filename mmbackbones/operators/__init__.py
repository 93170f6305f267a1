"""mmcv's operators in plain PyTorch, used where mmcv has none of its own.

`import mmbackbones` offers them: a finder that stands behind all others answers for `mmcv._ext`,
so that a compiled one always wins. Nothing is imported before mmcv asks. Or a file in mmcv's folder
offers them to programs that import mmcv's operators before mmbackbones.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import cache_from_source, find_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

NAME = 'mmcv._ext'
FILE = """\
# Written by `python -m mmbackbones operators --install`, and removed by `--remove`.
from mmbackbones.operators.extension import *  # a compiled _ext, if there is one, comes before this
"""


class OperatorFinder(MetaPathFinder, Loader):
    """Finds `mmcv._ext`, and no other module, where no finder before this one does."""

    def find_spec(self, fullname, path=None, target=None):
        """The extension in plain PyTorch."""
        return spec_from_loader(fullname, self, origin=__file__) if fullname == NAME else None

    def exec_module(self, module: ModuleType) -> None:
        """Do what the file does that `install` writes."""
        exec(FILE, module.__dict__)


def offer() -> None:
    """Let mmcv find the plain operators, after everything else."""
    if not any(isinstance(finder, OperatorFinder) for finder in sys.meta_path):
        sys.meta_path.append(OperatorFinder())


def mmcv_folder() -> Path | None:
    """The folder of mmcv, which is not imported; None without one."""
    spec = find_spec('mmcv')
    return Path(spec.origin).parent if spec and spec.origin else None


def compiled() -> Path | None:
    """The file of mmcv's own operators, or None."""
    folder = mmcv_folder()
    files = [folder / f'_ext{suffix}' for suffix in EXTENSION_SUFFIXES] if folder else []
    return next((file for file in files if file.exists()), None)


def installed() -> Path | None:
    """The file that `install` wrote into mmcv's folder, or None."""
    folder = mmcv_folder()
    file = folder / '_ext.py' if folder else None
    if file and file.exists() and file.read_text().startswith(FILE.splitlines()[0]):
        return file
    return None


def install() -> Path:
    """Write the file that lets mmcv find the plain operators whatever is imported first."""
    folder = mmcv_folder()
    if folder is None:
        raise FileNotFoundError('there is no mmcv to write into; install one of the two families')
    if compiled():
        raise FileExistsError(f'mmcv has operators of its own, and they are used: {compiled()}')
    file = folder / '_ext.py'
    if file.exists() and not installed():
        raise FileExistsError(f'{file} was written by somebody else, and stays as it is')
    file.write_text(FILE)
    return file


def remove() -> Path | None:
    """Remove the file that `install` wrote, and what Python made of it; None without one."""
    file = installed()
    if file:
        Path(cache_from_source(str(file))).unlink(missing_ok=True)
        file.unlink()
    return file


def state() -> str:
    """Which operators mmcv uses, in words."""
    if mmcv_folder() is None:
        return 'no operators: it is not installed'
    if compiled():
        return f'operators of its own, {compiled()}'
    if installed():
        return f"mmbackbones' operators in plain PyTorch, by {installed()}"
    return (
        "mmbackbones' operators in plain PyTorch, in programs that import mmbackbones before mmdet "
        'or mmseg; for others: python -m mmbackbones operators --install'
    )
