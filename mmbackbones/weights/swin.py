"""Names and layouts of published Swin V1 checkpoints."""

from .loading import Format


def next_stage(match):
    """Official and mm files merge patches at the end of a stage, we at the start of the next."""
    return f'stages.{int(match[1]) + 1}.downsample'


def from_unfold(tensor):
    """Channels of four neighbours, in the order of nn.Unfold -> neighbour by neighbour, down first.

    OpenMMLab's merging runs (channel, row, column); the official one (column, row, channel).
    """
    *rest, channels = tensor.shape
    return tensor.reshape(*rest, channels // 4, 2, 2).transpose(-1, -3).reshape(tensor.shape)


TABLE = (r'attn\.relative_position_bias_table', 'attn.bias.relative_position_bias_table')
BUFFERS = (r'relative_position_index$', r'attn_mask$')

OFFICIAL_RENAMES = ((r'^patch_embed\.', 'stem.'), TABLE)
OFFICIAL_DROPS = (*BUFFERS, r'^head\.', r'^norm\.')

MM_RENAMES = (
    (r'^patch_embed\.projection', 'stem.proj'),
    (r'^patch_embed\.norm', 'stem.norm'),
    (r'^stages\.(\d)\.downsample', next_stage),
    (r'attn\.w_msa\.', 'attn.'),
    (r'ffn\.layers\.0\.0', 'mlp.fc1'),
    (r'ffn\.layers\.1', 'mlp.fc2'),
    TABLE,
)
MM_CONVERTS = ((r'\.downsample\.', from_unfold),)

FORMATS = (
    Format(
        'official',
        markers=(r'^layers\.0\.downsample\.',),
        renames=(
            (r'^layers\.(\d)\.downsample', next_stage),
            (r'^layers\.', 'stages.'),
            *OFFICIAL_RENAMES,
        ),
        drops=OFFICIAL_DROPS,
    ),
    Format(
        'timm',
        markers=(r'^layers\.3\.downsample\.',),
        renames=((r'^layers\.', 'stages.'), *OFFICIAL_RENAMES),
        drops=OFFICIAL_DROPS,
    ),
    Format(
        'mmdet or mmseg',
        markers=(r'^patch_embed\.projection\.', r'^norm[012]\.'),
        renames=MM_RENAMES,
        drops=BUFFERS,
        converts=MM_CONVERTS,
    ),
    Format(
        'mmpretrain',
        markers=(r'^patch_embed\.projection\.',),
        renames=MM_RENAMES,
        drops=(*BUFFERS, r'^head\.', r'^norm3\.'),  # the norm of the classifier, as official `norm`
        converts=MM_CONVERTS,
    ),
)
