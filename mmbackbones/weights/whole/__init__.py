"""Whole detectors and segmenters of other libraries, in the names and shapes of mmdet and mmseg."""

from ..errors import CheckpointError
from .dino import DINO
from .layout import WholeLayout
from .upernet import UPERNET

LAYOUTS: tuple[WholeLayout, ...] = (*UPERNET, *DINO)  # of each file beside this one


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


def unlike(model, name):
    """What a model computes otherwise than those of a layout, by its name: sentences."""
    return [line for layout in LAYOUTS if layout.name == name for line in layout.warnings(model)]
