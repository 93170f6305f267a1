"""Whole detectors and segmenters of other libraries, in the names and shapes of mmdet and mmseg."""

from ..errors import CheckpointError
from .layout import WholeLayout
from .mask2former import MASK2FORMER
from .maskformer import MASKFORMER

LAYOUTS: tuple[WholeLayout, ...] = (*MASK2FORMER, *MASKFORMER)  # of each file beside this one


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
