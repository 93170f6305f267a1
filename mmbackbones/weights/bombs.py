"""Files that outgrow themselves: archives that unpack, pickles that repeat their parts."""

import pickletools
import zipfile
from pickletools import markobject, stackslice

OBJECTS = 10**7  # of one file; what is published has thousands
STREAMS = 5  # pickles in a file of the old format, one after the other


def bomb(path):
    """What a file of `torch.save` would grow to if it were read, where that is beyond reason."""
    with path.open('rb') as file:
        if file.read(4) == b'PK\3\4':  # how `torch.load` knows a zip file
            return bomb_in_archive(zipfile.ZipFile(file), path.stat().st_size)
        file.seek(0)
        return endless([file] * STREAMS)


def bomb_in_archive(archive, size):
    """The same of a zip file of so many bytes."""
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > size:
        return f'would unpack to {unpacked:,} bytes, but torch.save packs nothing'
    return endless(archive.open(n) for n in archive.namelist() if n.lower().endswith('.pkl'))


def endless(files):
    """The same of pickles that the files are at."""
    count = max(map(unshared, files), default=0)
    return f'would make {count:.0e} objects' if count > OBJECTS else None


def unshared(file):
    """How many objects the next pickle makes, each counted again wherever it is used.

    So many have to be visited to hash or print it, without running it.
    """
    stack, memo, size = [], {}, 0
    for op, arg, _ in pickletools.genops(file):
        if 'GET' in op.name:
            stack.append(memo[arg])
        elif 'PUT' in op.name or op.name == 'MEMOIZE':
            memo[len(memo) if arg is None else arg] = stack[-1]
        else:
            size = 1 + sum(taken(stack, op.stack_before))
            stack += [None if kind is markobject else size for kind in op.stack_after]
    return size


def taken(stack, kinds):
    """The sizes that an operation takes from the stack, where None is a mark."""
    for kind in reversed(kinds):
        while kind is stackslice and stack[-1] is not None:
            yield stack.pop()
        if kind is not stackslice:
            yield stack.pop() or 0
