"""Whole detectors and segmenters of other libraries, in the names and shapes of mmdet and mmseg."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .errors import CheckpointError


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


LAYOUTS: tuple[WholeLayout, ...] = ()


def in_mm_names(model, tensors, source):
    """{name: tensor} as mmdet or mmseg has them, and the name of the file's layout, or None.

    Raises:
        CheckpointError: The file is of a known layout, but of another model than this one.
    """
    for layout in LAYOUTS:
        if layout.fits(tensors):
            try:
                return layout.convert(model, tensors), layout.name
            except (LookupError, RuntimeError, ValueError) as error:
                raise CheckpointError(
                    f'{source} (format {layout.name}) is of another model than this '
                    f'{type(model).__name__}: {error}; take the config that belongs to it'
                ) from error
    return tensors, None
