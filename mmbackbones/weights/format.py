"""What a format of checkpoints is: how one source names and lays out an architecture's tensors."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .reading import strip_prefix


@dataclass(frozen=True)
class Format:
    """How the checkpoints of one source name and lay out the tensors of an architecture.

    Patterns are regular expressions that may match anywhere in a name.
    """

    name: str
    markers: tuple  # patterns; files of this format have a match for each
    renames: tuple = ()  # (pattern, replacement) pairs, applied in turn
    drops: tuple = ()  # patterns of what no dense backbone needs, in the format's own names
    converts: tuple = ()  # (pattern of our name, function of the tensor)
    prepare: Callable = dict  # {name: tensor} -> the same, where tensors must be joined or split
    note: str = ''  # where its nets compute something else than ours
    lacks: tuple = ()  # patterns without a match in files of this format
    beside: str = ''  # the beginning of names that stand next to the prefix, not below it

    def fits(self, names):
        return '' in self.prefixes(names)

    def prefixes(self, names):
        """What stands before the names of a backbone, for each of this format among the names."""
        found = None
        for marker in self.markers:
            if marker.startswith('^'):
                pattern = re.compile(rf'((?:.+\.)?){marker[1:]}')
                places = dict.fromkeys(m[1] for name in names if (m := pattern.match(name)))
                found = [p for p in (places if found is None else found) if p in places]
        return [place for place in found or [] if self._fits_below(place, names)]

    def _fits_below(self, prefix, names):
        names = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        has = lambda pattern: any(re.search(pattern, name) for name in names)  # noqa: E731
        return all(map(has, self.markers)) and not any(map(has, self.lacks))

    def part(self, tensors, prefix):
        """{name without the prefix: tensor} of one backbone, and the names of all others."""
        inside, rest = strip_prefix(tensors, prefix)
        around = re.sub(r'[^.]+\.$', '', prefix) + self.beside
        if self.beside and prefix:
            near = [name for name in rest if name.startswith(around)]
            inside |= {self.beside + name.removeprefix(around): tensors[name] for name in near}
            rest = [name for name in rest if name not in near]
        return inside, rest

    def rename(self, name):
        return substituted(name, self.renames)

    def convert(self, name, tensor):
        for pattern, function in self.converts:
            tensor = function(tensor) if re.search(pattern, name) else tensor
        return tensor


def substituted(name, pairs):
    """A name after (pattern, replacement) pairs in turn, which may match anywhere in it."""
    for pattern, replacement in pairs:
        name = re.sub(pattern, replacement, name)
    return name


OWN = Format('mmbackbones', markers=(r'^stem\.', r'^stages\.0\.blocks\.0\.'))
