"""Names of published DaViT checkpoints; their layouts are ours."""

from .loading import Format
from .swin import next_stage

HALVES = {'0': 0, '1': 1, 'spatial_block': 0, 'channel_block': 1}


def in_turn(match):
    """Dual block j is our blocks 2j and 2j + 1."""
    stage, dual, half = match.groups()
    return f'stages.{stage}.blocks.{2 * int(dual) + HALVES[half]}.'


CPE = ((r'cpe1\.proj', 'cpe.0.proj'), (r'cpe2\.proj', 'cpe.1.proj'))

FORMATS = (
    Format(
        'official',
        markers=(r'^main_blocks\.',),
        renames=(
            (r'^patch_embeds\.0\.', 'stem.'),
            (r'^patch_embeds\.(\d)\.', r'stages.\1.downsample.'),
            (r'^main_blocks\.(\d)\.(\d+)\.([01])\.', in_turn),
        ),
        drops=(r'^norms\.', r'^head\.'),
    ),
    Format(
        'timm',
        markers=(r'^stages\.0\.blocks\.0\.0\.',),
        renames=(
            (r'^stem\.conv', 'stem.proj'),
            (r'downsample\.conv', 'downsample.proj'),
            (r'^stages\.(\d)\.blocks\.(\d+)\.([01])\.', in_turn),
            *CPE,
        ),
        drops=(r'^head\.',),
    ),
    Format(
        'mmpretrain',
        markers=(r'^stages\.0\.blocks\.0\.spatial_block\.',),
        renames=(
            (r'^patch_embed\.projection', 'stem.proj'),
            (r'^patch_embed\.norm', 'stem.norm'),
            (r'^stages\.(\d)\.downsample', next_stage),
            (r'downsample\.projection', 'downsample.proj'),
            (r'^stages\.(\d)\.blocks\.(\d+)\.(spatial_block|channel_block)\.', in_turn),
            (r'attn\.w_msa\.', 'attn.'),
            (r'ffn\.layers\.0\.0', 'mlp.fc1'),
            (r'ffn\.layers\.1', 'mlp.fc2'),
            *CPE,
        ),
        drops=(r'^head\.',),
    ),
)
