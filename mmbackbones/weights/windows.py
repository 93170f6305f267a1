"""The windows that a checkpoint was trained with, as its tables show them, against a net's."""

import re
from inspect import signature
from math import isqrt
from typing import Any

from torch import Tensor

from ..layers import WindowAttention
from .net import BackboneNet

Sides = dict[int, int]  # {stage: side of its windows}
TABLES = re.compile(
    r'stages\.(\d+)\..*relative_(?:position_bias_(table)|(coords)_table|position_(index))$'
)


def windows_of_file(tensors: dict[str, Tensor]) -> tuple[Sides, Sides]:
    """({stage: side of its windows}, {stage: side that its biases count in}), where it is shown.

    Args:
        tensors: {name of ours: tensor} with tables, or with the buffers that tell of windows.
    """
    windows, trained = {}, {}
    for name, tensor in tensors.items():
        match = TABLES.match(name)
        if not match or not tensor.dim():
            continue
        stage, table, coords, _ = match.groups()
        if coords:  # (1, 2 side - 1, 2 side - 1, 2)
            side = (isqrt(tensor.numel() // 2) + 1) // 2
            trained[int(stage)] = side_of_pretraining(tensor, side)
        elif table:  # ((2 side - 1) ** 2, heads)
            trained[int(stage)] = side = (isqrt(len(tensor)) + 1) // 2
        else:  # one of each two tokens of a window
            side = isqrt(isqrt(tensor.numel()))
        windows[int(stage)] = side
    return windows, {stage: side for stage, side in trained.items() if side}


def side_of_pretraining(coords: Tensor, side: int) -> int | None:
    """The window in which log-spaced offsets of Swin V2 count; None if they are no such offsets."""
    largest = 0 if coords.is_meta or not coords.numel() else coords.float().max().item()
    return round(1 + 8 * (side - 1) / (8**largest - 1)) if 1e-3 < largest < 10 else None


def windows_of_net(net: BackboneNet) -> tuple[Sides, Sides]:
    """({stage: side of its windows}, {stage: side that its biases count in})."""
    windows, trained = {}, {}
    for i, stage in enumerate(net.stages):
        for module in stage.modules():
            if isinstance(module, WindowAttention):
                windows[i] = module.size
                trained[i] = getattr(module.bias, 'pretrained_size', module.size)
    return windows, trained


def compare_windows(net: BackboneNet, tensors: dict[str, Tensor], report: Any) -> None:
    """Note in a report where a file's windows are not the net's, and warn if nobody asked for it.

    Who gives `pretrained_window_size` has asked for other windows than the file's.
    """
    ours, counted = windows_of_net(net)
    theirs, trained = windows_of_file(tensors)
    report.windows = theirs
    if not theirs:
        report.notes += ['its windows are not in the file'] if ours else []
        return
    differ = [stage for stage in ours if theirs.get(stage, ours[stage]) != ours[stage]]
    biases_differ = any(trained.get(stage, side) != side for stage, side in counted.items())
    if not differ and not biases_differ:
        return
    found = f'trained with {arguments(theirs, theirs | trained)}'
    here = arguments(ours, counted)
    report.notes.append(f'{found}, here {here}')
    if biases_differ or any(ours[stage] == counted[stage] for stage in differ):
        advice = ''
        if 'pretrained_window_size' in signature(type(net)).parameters:
            advice = ', or give pretrained_window_size as trained if other windows are meant'
        report.warnings.append(
            f'{report.source} was {found}, this {type(net).__name__} has {here}, so its maps are '
            f'not those of the published model; build it as it was trained{advice}'
        )


def arguments(windows: Sides, counted: Sides) -> str:
    """The arguments of a net with these windows, whose biases count in those others."""
    text = f'window_size={sides(windows)}'
    return text if windows == counted else f'{text}, pretrained_window_size={sides(counted)}'


def sides(windows: Sides) -> str:
    """'(7, 7, 14, 7)' for windows by stage, '7' if all are the same."""
    values = tuple(windows[stage] for stage in sorted(windows))
    return str(values if len(set(values)) > 1 else values[0])
