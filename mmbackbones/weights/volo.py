"""Names of published VOLO checkpoints, which official and timm files share."""

import re

from .format import Format


def number_transformers(tensors):
    """Official files have the transformers in three groups, we in one row."""
    groups = r'^network\.([234])\.(\d+)\.'
    found = {match[0] for name in tensors if (match := re.match(groups, name))}
    row = sorted(found, key=lambda block: [int(part) for part in block.split('.')[1:3]])
    ours = {block: f'stages.2.blocks.{i}.' for i, block in enumerate(row)}
    return {re.sub(groups, lambda m: ours[m[0]], name): t for name, t in tensors.items()}


FORMATS = (
    Format(
        'official or timm',
        markers=(r'^patch_embed\.conv\.0\.', r'^network\.0\.0\.attn\.attn\.'),
        prepare=number_transformers,
        renames=(
            (r'^patch_embed\.', 'stem.'),
            (r'^network\.0\.', 'stages.0.blocks.'),
            (r'^network\.1\.', 'stages.2.downsample.'),
            (r'^pos_embed', 'stages.2.downsample.pos_embed'),
        ),
        drops=(r'^cls_token', r'^post_network\.', r'^norm\.', r'^head\.', r'^aux_head\.'),
    ),
)
