"""What reading weights can fail with, said in one sentence."""

from collections.abc import Iterable
from pathlib import Path

from torch.serialization import get_unsafe_globals_in_checkpoint


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or does not fit; the backbone is left as it was."""


def foreign(name: str) -> str:
    """What to say of a file that names what is no weight."""
    return f'asks for {truncate(name)}, which is no weight and might run code'


def refused(path: Path, error: Exception) -> CheckpointError:
    """The error for a file, or a folder of files, that PyTorch did not read with its safety on."""
    for file in sorted(path.rglob('*.pt')) if path.is_dir() else [path]:
        try:
            names = get_unsafe_globals_in_checkpoint(file)
        except Exception:  # no file of torch.save, damaged, or from before PyTorch 1.6
            continue
        if names:
            asked = foreign(shorten_list(sorted(names)))
            return CheckpointError(f'{file} {asked}; it was not read, take another file')
    return damaged(path, error)


def damaged(path: Path, error: Exception) -> CheckpointError:
    """The error for a file that is no checkpoint or only a part of one."""
    reason = truncate(str(error).split('. ')[0]) or type(error).__name__
    return CheckpointError(
        f'{path} ({path.stat().st_size:,} bytes) is no whole checkpoint: {reason}; '
        f'expected a file of torch.save or safetensors, so fetch it again'
    )


def truncate(text: object, length: int = 200) -> str:
    """The beginning of a text, on one line, without what a terminal would obey."""
    line = ' '.join(str(text)[: 2 * length].split())[:length]
    return ''.join(c if c.isprintable() else '?' for c in line)


def shorten_list(names: Iterable[object], count: int = 4) -> str:
    """The first names, and how many more there are."""
    texts = [truncate(name, 100) for name in names]
    more = f' and {len(texts) - count} more' if len(texts) > count else ''
    return ', '.join(texts[:count]) + more
