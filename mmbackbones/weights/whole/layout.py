"""What a layout of whole models is: how another library names and lays out their tensors."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from ..format import substituted
from ..reading import is_set_of_weights, renamed


@dataclass(frozen=True)
class WholeLayout:
    """How another library names and lays out the tensors of a whole model.

    Patterns are regular expressions, matched from the beginning of a name of the model.
    """

    name: str
    markers: tuple  # patterns; files of this layout have a match for each
    # The model and {name: tensor} of the file -> {name in the model: tensor}. What belongs to the
    # backbone keeps the names that it has there below `backbone.`: the backbone converts them.
    convert: Callable
    constants: tuple = ()  # (attribute of the model, its value there), which no file has

    def places(self, names):
        """What stands before the names of each set of weights of this layout among the names."""
        found = None
        for marker in self.markers:
            pattern = re.compile(rf'((?:.+?\.)??){marker}')
            places = dict.fromkeys(m[1] for name in names if (m := pattern.match(name)))
            found = [place for place in (places if found is None else found) if place in places]
        return [p for p in found or [] if all(map(is_set_of_weights, p.split('.')[:-1]))]

    def warnings(self, model):
        """What a model computes otherwise than those of this layout, in one sentence or none."""
        try:
            found = {name: attrgetter(name)(model) for name, _ in self.constants}
        except AttributeError:  # as in other versions of mm
            return []
        other = [name for name, value in self.constants if found[name] != value]
        there = ', '.join(f'{name}={value}' for name, value in self.constants if name in other)
        here = ', '.join(f'{name}={found[name]}' for name in other)
        sentence = (
            f'{self.name} has {there}, and this {type(model).__name__} {here}: its '
            f'predictions will differ from theirs, set these in the config'
        )
        return [sentence] if other else []


def rename(tensors, renames):
    """{new name: tensor} after (pattern, replacement) pairs in turn, which may match anywhere.

    Raises:
        ValueError: Two tensors would have the same name.
    """
    return renamed(tensors, lambda name: substituted(name, renames), 'it')
