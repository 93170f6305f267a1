"""What a format of checkpoints is: how one source names and lays out an architecture's tensors."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .reading import strip_prefix


@dataclass(frozen=True)
class Format:
    """How the checkpoints of one source name and lay out the tensors of an architecture.

    Patterns are regular expressions that may match anywhere in a name.
    """

    name: str
    markers: tuple[str, ...]  # patterns; files of this format have a match for each
    renames: tuple = ()  # (pattern, replacement) pairs, applied in turn
    drops: tuple[str, ...] = ()  # patterns of the format's names that no dense backbone needs
    converts: tuple = ()  # (pattern of our name, function of the tensor)
    prepare: Callable = dict  # {name: tensor} -> the same, where tensors must be joined or split
    note: str = ''  # where its nets compute something else than ours
    lacks: tuple[str, ...] = ()  # patterns without a match in files of this format
    beside: str = ''  # the beginning of names that stand next to the prefix, not below it

    def fits(self, names: Collection[str]) -> bool:
        """Whether names of this format begin a file's, without a prefix."""
        return '' in self.prefixes(names)

    def prefixes(self, names: Collection[str]) -> list[str]:
        """The prefixes of all backbones of this format among the names of a file."""
        found = None
        for marker in self.markers:
            if marker.startswith('^'):
                pattern = re.compile(rf'((?:.+\.)?){marker[1:]}')
                places = dict.fromkeys(m[1] for name in names if (m := pattern.match(name)))
                found = [p for p in (places if found is None else found) if p in places]
        return [place for place in found or [] if self._fits_below(place, names)]

    def _fits_below(self, prefix, names):
        names = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        if not all(any_match(marker, names) for marker in self.markers):
            return False
        return not any(any_match(pattern, names) for pattern in self.lacks)

    def part(self, tensors: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], list[str]]:
        """{name without the prefix: tensor} of one backbone, and the names of all others."""
        inside, rest = strip_prefix(tensors, prefix)
        around = re.sub(r'[^.]+\.$', '', prefix) + self.beside
        if self.beside and prefix:
            near = [name for name in rest if name.startswith(around)]
            inside |= {self.beside + name.removeprefix(around): tensors[name] for name in near}
            rest = [name for name in rest if name not in near]
        return inside, rest

    def rename(self, name: str) -> str:
        """Our name of a tensor."""
        return substituted(name, self.renames)

    def convert(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor in our layout, by our name for it."""
        for pattern, function in self.converts:
            tensor = function(tensor) if re.search(pattern, name) else tensor
        return tensor


def any_match(pattern: str, names: Iterable[str]) -> bool:
    """Whether a pattern matches somewhere in one of the names."""
    return any(re.search(pattern, name) for name in names)


def substituted(name: str, pairs: Iterable[tuple]) -> str:
    """A name after (pattern, replacement) pairs in turn, which may match anywhere in it."""
    for pattern, replacement in pairs:
        name = re.sub(pattern, replacement, name)
    return name


OWN = Format('mmbackbones', markers=(r'^stem\.', r'^stages\.0\.blocks\.0\.'))
