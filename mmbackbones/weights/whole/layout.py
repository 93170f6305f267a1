"""What a layout of whole models is: how another library names and lays out their tensors."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class WholeLayout:
    """How another library names and lays out the tensors of a whole model.

    Patterns are regular expressions, matched from the beginning of a name.
    """

    name: str
    markers: tuple  # patterns; files of this layout have a match for each
    # The model and {name: tensor} of the file -> {name in the model: tensor}. What belongs to the
    # backbone keeps the names that it has there below `backbone.`: the backbone converts them.
    convert: Callable

    def fits(self, names):
        return all(any(re.match(marker, name) for name in names) for marker in self.markers)
