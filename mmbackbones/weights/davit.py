"""Names of published DaViT checkpoints; their tensors are laid out as ours.

Files of Florence-2 hold a language model beside its image encoder, which stands at `vision_tower.`
in the authors' and at `model.vision_tower.` in those of Hugging Face's own classes.
"""

from .format import Format
from .swin import next_stage

HALVES = {'0': 0, '1': 1, 'spatial_block': 0, 'channel_block': 1}


def in_turn(match):
    """Dual block j is our blocks 2j and 2j + 1."""
    stage, dual, half = match.groups()
    return f'stages.{stage}.blocks.{2 * int(dual) + HALVES[half]}.'


HALF = r'(spatial_block|channel_block|[01])\.'
# Florence-2's, by its authors and at Hugging Face.
ENCODER = (
    (r'^convs\.0\.', 'stem.'),
    (r'^convs\.(\d)\.', r'stages.\1.downsample.'),
    (rf'^blocks\.(\d)\.(\d+)\.{HALF}', in_turn),
    (r'(window|channel)_attn\.', 'attn.'),
)
CPE = ((r'cpe1\.proj', 'cpe.0.proj'), (r'cpe2\.proj', 'cpe.1.proj'))

FORMATS = (
    Format(
        'official',
        markers=(r'^main_blocks\.',),
        renames=(
            (r'^patch_embeds\.0\.', 'stem.'),
            (r'^patch_embeds\.(\d)\.', r'stages.\1.downsample.'),
            (rf'^main_blocks\.(\d)\.(\d+)\.{HALF}', in_turn),
        ),
        drops=(r'^norms\.', r'^head\.'),
    ),
    Format(
        'timm',
        markers=(r'^stem\.conv\.', rf'^stages\.0\.blocks\.0\.{HALF}'),
        renames=(
            (r'^stem\.conv', 'stem.proj'),
            (r'downsample\.conv', 'downsample.proj'),
            (rf'^stages\.(\d)\.blocks\.(\d+)\.{HALF}', in_turn),
            *CPE,
        ),
        drops=(r'^head\.',),
    ),
    Format(
        'mmpretrain',
        markers=(r'^patch_embed\.', r'^stages\.0\.blocks\.0\.spatial_block\.'),
        renames=(
            (r'^patch_embed\.projection', 'stem.proj'),
            (r'^patch_embed\.norm', 'stem.norm'),
            (r'^stages\.(\d)\.downsample', next_stage),
            (r'downsample\.projection', 'downsample.proj'),
            (rf'^stages\.(\d)\.blocks\.(\d+)\.{HALF}', in_turn),
            (r'attn\.w_msa\.', 'attn.'),
            (r'ffn\.layers\.0\.0', 'mlp.fc1'),
            (r'ffn\.layers\.1', 'mlp.fc2'),
            *CPE,
        ),
        drops=(r'^head\.',),
    ),
    Format(
        'Florence-2',
        markers=(r'^convs\.0\.proj\.', r'^blocks\.0\.0\.spatial_block\.'),
        renames=(
            *ENCODER,
            (r'attn\.norm\.', 'norm1.'),
            (r'attn\.fn\.', 'attn.'),
            (r'ffn\.norm\.', 'norm2.'),
            (r'ffn\.fn\.net\.', 'mlp.'),
            (r'conv1\.fn\.dw', 'cpe.0.proj'),
            (r'conv2\.fn\.dw', 'cpe.1.proj'),
        ),
        drops=(r'^norms\.', r'^head\.'),
    ),
    Format(
        'Hugging Face',
        markers=(r'^convs\.0\.conv\.', r'^blocks\.0\.0\.spatial_block\.'),
        renames=(
            *ENCODER,
            (r'^stem\.conv', 'stem.proj'),
            (r'downsample\.conv', 'downsample.proj'),
            (r'ffn\.', 'mlp.'),
            (r'conv1\.', 'cpe.0.proj.'),
            (r'conv2\.', 'cpe.1.proj.'),
        ),
    ),
)
