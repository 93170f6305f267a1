"""What a layout of whole models is: how another library names and lays out their tensors."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..reading import is_set_of_weights


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

    def places(self, names):
        """What stands before the names of each set of weights of this layout among the names."""
        found = None
        for marker in self.markers:
            pattern = re.compile(rf'((?:.+?\.)??){marker}')
            places = dict.fromkeys(m[1] for name in names if (m := pattern.match(name)))
            found = [place for place in (places if found is None else found) if place in places]
        return [p for p in found or [] if all(map(is_set_of_weights, p.split('.')[:-1]))]
