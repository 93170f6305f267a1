"""What reading weights can fail with, said in one sentence."""

import re


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or does not fit; the backbone is left as it was."""


def foreign(name):
    """What to say of a file that names what is no weight."""
    return f'asks for {truncate(name)}, which is no weight and might run code'


def refused(path, error):
    """The error for a file that PyTorch, with its safety on, did not read."""
    name = re.search(r'(?:GLOBAL|class|function) (\S+)', str(error))
    if not name:
        return damaged(path, error)
    return CheckpointError(f'{path} {foreign(name[1])}; it was not read, take another file')


def damaged(path, error):
    """The error for a file that is no checkpoint or only a part of one."""
    reason = truncate(str(error).split('. ')[0]) or type(error).__name__
    return CheckpointError(
        f'{path} ({path.stat().st_size:,} bytes) is no whole checkpoint: {reason}; '
        f'expected a file of torch.save or safetensors, so fetch it again'
    )


def truncate(text, length=200):
    """The beginning of a text, on one line, without what a terminal would obey."""
    line = ' '.join(str(text)[: 2 * length].split())[:length]
    return ''.join(c if c.isprintable() else '?' for c in line)


def shorten_list(names, count=4):
    """The first names, and how many more there are."""
    names = [truncate(name, 100) for name in names]
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more
