"""Whole detectors and segmenters of other libraries, in the names and shapes of mmdet and mmseg."""

from collections.abc import Collection

from ..errors import CheckpointError
from .dino import DINO
from .layout import WholeLayout
from .mask2former import MASK2FORMER
from .maskformer import MASKFORMER
from .upernet import UPERNET

LAYOUTS: tuple[WholeLayout, ...] = (*MASK2FORMER, *MASKFORMER, *UPERNET, *DINO)


def find_layout(names: Collection[str]) -> tuple[WholeLayout | None, list[str]]:
    """The layout of a file with such names, or None, and what stands before those of each set."""
    for layout in LAYOUTS:
        places = layout.places(names)
        if places:
            return layout, places
    return None, []


def in_mm_names(layout, model, tensors, source):
    """{name: tensor} as mmdet or mmseg has them.

    Raises:
        CheckpointError: The file is of another model than this one.
    """
    try:
        return layout.convert(model, tensors)
    except (LookupError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f'{source} (format {layout.name}) is of another model than this '
            f'{type(model).__name__}: {error}; take the config that belongs to it'
        ) from error
