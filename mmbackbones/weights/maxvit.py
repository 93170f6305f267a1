"""Names and layouts of published MaxViT checkpoints."""

from .loading import Format

ATTENTIONS = {'attn_block': 1, 'attn_grid': 2, 'window_attention': 1, 'grid_attention': 2}


def in_turn(match):
    """Block j is our blocks 3j, 3j + 1 and 3j + 2: convolutions, windows, grid."""
    stage, block, part = match.groups()
    return f'stages.{stage}.blocks.{3 * int(block) + ATTENTIONS.get(part, 0)}.'


def from_key_to_query(table):
    """(heads, 2P - 1, 2P - 1) by key minus query -> ours, (rows, heads) by query minus key."""
    return table.flip(1, 2).flatten(1).T


FORMATS = (
    Format(
        'timm',
        markers=(r'^stages\.0\.blocks\.0\.conv\.pre_norm\.',),
        renames=(
            (r'^stages\.(\d)\.blocks\.(\d+)\.(conv|attn_block|attn_grid)\.', in_turn),
            (r'shortcut\.expand', 'shortcut.1'),
            (r'attn\.rel_pos\.', 'attn.bias.'),
        ),
        drops=(r'^head\.',),
        converts=((r'relative_position_bias_table', from_key_to_query),),
    ),
)
