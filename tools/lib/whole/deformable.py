"""Attention over maps as graphs for pictures of every size take it: sizes are numbers, not tensors.

mm keeps the sizes of maps in a tensor and loops over its numbers, which a graph cannot. What is
here takes the place of such methods on the modules of one model, inside `replaced` only.
"""

from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttention,
    multi_scale_deformable_attn_pytorch,
)

from lib.whole.picture import number
from mmbackbones.operators.deformable import attention_bags


@contextmanager
def replaced(owner, **methods):
    """An object whose methods are these until the context ends; its class stays as it is."""
    before = {name: vars(owner)[name] for name in methods if name in vars(owner)}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name in methods:
            delattr(owner, name)
        for name, method in before.items():
            setattr(owner, name, method)


@contextmanager
def exportable_attention(model, gather=False):
    """All deformable attention of a model takes the sizes of maps as a list of pairs of numbers."""
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                stack.enter_context(replaced(module, forward=partial(attend, module, gather)))
        yield


def attend(
    module, gather, query, key=None, value=None, identity=None, query_pos=None,
    key_padding_mask=None, reference_points=None, spatial_shapes=None, level_start_index=None, **_,
):  # fmt: skip
    """`MultiScaleDeformableAttention.forward`, with `spatial_shapes` as [(height, width), ...]."""
    value = query if value is None else value
    identity = query if identity is None else identity
    query = query if query_pos is None else query + query_pos
    if not module.batch_first:
        query, value = query.transpose(0, 1), value.transpose(0, 1)
    batch, count, _ = query.shape
    heads, levels, points = module.num_heads, module.num_levels, module.num_points
    value = module.value_proj(value)
    if key_padding_mask is not None:
        value = value.masked_fill(key_padding_mask[..., None], 0.0)
    value = value.unflatten(-1, (heads, -1))
    offsets = module.sampling_offsets(query).view(batch, count, heads, levels, points, 2)
    weights = module.attention_weights(query).view(batch, count, heads, levels * points)
    weights = weights.softmax(-1).view(batch, count, heads, levels, points)
    centres = reference_points[:, :, None, :, None, :2]
    if reference_points.shape[-1] == 2:
        sides = torch.stack([torch.stack([number(w), number(h)]) for h, w in spatial_shapes])
        locations = centres + offsets / sides[:, None]
    else:
        locations = centres + offsets / points * reference_points[:, :, None, :, None, 2:] * 0.5
    sample = gathered if gather else multi_scale_deformable_attn_pytorch
    found = module.output_proj(sample(value, spatial_shapes, locations, weights))
    return (found if module.batch_first else found.transpose(0, 1)) + identity


def gathered(value, shapes, locations, weights):
    """The sums of samples, with each of their four cells gathered: no node of grid_sample."""
    batch, count, _, channels = value.shape
    sides = torch.stack([torch.stack([number(h), number(w)]) for h, w in shapes]).long()
    areas = sides.prod(1)
    cells, shares = attention_bags(sides, areas.cumsum(0) - areas, locations, batch, count)
    shares = (shares * weights[..., None]).flatten(3)[..., None, :]
    found = shares @ value.reshape(-1, channels)[cells.flatten(3)]
    return found.flatten(2)


def valid_cells(count, side, valid):
    """How many of a map's rows lie in the picture, of `valid` of the `side` rows of the network."""
    starts = torch.arange(count, dtype=torch.float32) * (number(side) / number(count))
    return (starts.floor() < number(valid)).sum(dtype=torch.float32)


def sine_positions(encoding, rows, columns, valid_rows=None, valid_columns=None):
    """(1, C, rows, columns), as mm's `SinePositionalEncoding` makes it where the picture is.

    Its own slices of the last row and column have sizes that PyTorch cannot simplify.
    """
    parts = torch.arange(encoding.num_feats, dtype=torch.float32)
    parts = encoding.temperature ** (2 * (parts // 2) / encoding.num_feats)
    axes = []
    for count, valid in ((rows, valid_rows), (columns, valid_columns)):
        position = torch.arange(count, dtype=torch.float32) + 1
        if encoding.normalize:
            last = (number(count) if valid is None else valid) + encoding.eps
            position = (position + encoding.offset) / last * encoding.scale
        angles = position[:, None] / parts
        axes.append(torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], 2).flatten(1))
    y, x = axes[0][:, None].expand(-1, columns, -1), axes[1][None].expand(rows, -1, -1)
    return torch.cat([y, x], 2).permute(2, 0, 1)[None]


def centres(rows, columns, valid_rows=None, valid_columns=None):
    """(rows * columns, 2): x and y of the centres of a map's cells, as shares of the picture."""
    height = number(rows) if valid_rows is None else valid_rows
    width = number(columns) if valid_columns is None else valid_columns
    y = (torch.arange(rows, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(columns, dtype=torch.float32) + 0.5) / width
    y, x = y[:, None].expand(-1, columns), x[None].expand(rows, -1)
    return torch.stack([x, y], -1).flatten(0, 1)


def far_inside(rows, columns, valid_rows=None, valid_columns=None):
    """(rows * columns,): whether centres lie between 0.01 and 0.99, both excluded, on both axes.

    Whole numbers are compared, (2 i + 1) / 2 n > 1 / 100 as 50 (2 i + 1) > n: of 50 rows, as 800
    pixels have at stride 16, the last is at 0.99, where OpenVINO's quotient is a float below.
    """
    axes = []
    for count, valid in ((rows, valid_rows), (columns, valid_columns)):
        valid = number(count) if valid is None else valid
        place = 50 * (2 * torch.arange(count, dtype=torch.float32) + 1)
        axes.append((place > valid) & (place < 99 * valid))
    y, x = axes
    return (y[:, None] & x).flatten()


def tokens(maps):
    """(B, cells of all maps, C), of maps (B, C, H, W)."""
    return torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
