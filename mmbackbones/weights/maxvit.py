"""Names and layouts of published MaxViT checkpoints."""

import torch

from .format import Format

ATTENTIONS = {'attn_block': 1, 'attn_grid': 2, 'window_attention': 1, 'grid_attention': 2}


def in_turn(match):
    """Block j is our blocks 3j, 3j + 1 and 3j + 2: convolutions, windows, grid."""
    stage, block, part = match.groups()
    return f'stages.{stage}.blocks.{3 * int(block) + ATTENTIONS.get(part, 0)}.'


def from_key_to_query(table):
    """(heads, 2P - 1, 2P - 1) by key minus query -> ours, (rows, heads) by query minus key."""
    return table.flip(1, 2).flatten(1).T


def rescale_queries(qkv):
    """Torchvision divides by the root of all channels, we by that of a head's 32."""
    dim = len(qkv) // 3
    return torch.cat([qkv[:dim] * (32 / dim) ** 0.5, qkv[dim:]])


LINEAR = (r'(conv[13]_1x1|se\.fc[12])\.weight', lambda tensor: tensor.flatten(1))

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
        converts=((r'relative_position_bias_table', from_key_to_query), LINEAR),
    ),
    Format(
        'torchvision',
        markers=(r'^blocks\.0\.layers\.0\.layers\.MBconv\.',),
        renames=(
            (r'^stem\.0\.0\.', 'stem.conv1.'),
            (r'^stem\.0\.1\.', 'stem.norm1.'),
            (r'^stem\.1\.0\.', 'stem.conv2.'),
            (
                r'^blocks\.(\d)\.layers\.(\d+)\.layers\.(MBconv|window_attention|grid_attention)\.',
                in_turn,
            ),
            (r'\.proj\.1\.', '.shortcut.1.'),
            (r'layers\.pre_norm', 'pre_norm'),
            (r'layers\.conv_a\.0', 'conv1_1x1'),
            (r'layers\.conv_a\.1', 'norm1'),
            (r'layers\.conv_b\.0', 'conv2_kxk'),
            (r'layers\.conv_b\.1', 'norm2'),
            (r'layers\.squeeze_excitation', 'se'),
            (r'layers\.conv_c', 'conv3_1x1'),
            (r'attn_layer\.0', 'norm1'),
            (r'attn_layer\.1\.to_qkv', 'attn.qkv'),
            (r'attn_layer\.1\.merge', 'attn.proj'),
            (r'attn_layer\.1\.relative', 'attn.bias.relative'),
            (r'mlp_layer\.0', 'norm2'),
            (r'mlp_layer\.1', 'mlp.fc1'),
            (r'mlp_layer\.3', 'mlp.fc2'),
        ),
        drops=(r'relative_position_index$', r'^classifier\.'),
        converts=((r'attn\.qkv\.', rescale_queries), LINEAR),
    ),
)
