"""Names and layouts of published Swin V1 checkpoints, most of which V2 shares."""

import re

import torch

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


def join_qkv(tensors):
    """Hugging Face has three layers where others have one; keys without a bias are V2's."""
    part, joined = re.compile(r'(.*attention\.self\.)(query|key|value)\.(weight|bias)$'), {}
    for name, tensor in tensors.items():
        match = part.match(name)
        if not match:
            joined[name] = tensor
        elif match[3] == 'bias' and f'{match[1]}key.bias' not in tensors:
            joined[f'{match[1]}{match[2][0]}_bias'] = tensor
        else:
            joined.setdefault(f'{match[1]}qkv.{match[3]}', {})[match[2]] = tensor
    order = ('query', 'key', 'value')
    return {
        name: torch.cat([value[key] for key in order]) if isinstance(value, dict) else value
        for name, value in joined.items()
    }


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

TORCHVISION_RENAMES = (
    (r'^features\.0\.0\.', 'stem.proj.'),
    (r'^features\.0\.2\.', 'stem.norm.'),
    (r'^features\.([1357])\.', lambda m: f'stages.{int(m[1]) // 2}.blocks.'),
    (r'^features\.([246])\.', lambda m: f'stages.{int(m[1]) // 2}.downsample.'),
    (r'\.mlp\.0\.', '.mlp.fc1.'),
    (r'\.mlp\.3\.', '.mlp.fc2.'),
    TABLE,
)

HUGGING_FACE_RENAMES = (
    (r'^swin(v2)?\.', ''),
    (r'^embeddings\.patch_embeddings\.projection\.', 'stem.proj.'),
    (r'^embeddings\.norm\.', 'stem.norm.'),
    (r'^encoder\.layers\.(\d)\.downsample', next_stage),
    (r'^encoder\.layers\.', 'stages.'),
    (r'layernorm_before', 'norm1'),
    (r'layernorm_after', 'norm2'),
    (r'attention\.output\.dense', 'attn.proj'),
    (r'attention\.self\.', 'attn.'),
    (r'intermediate\.dense', 'mlp.fc1'),
    (r'output\.dense', 'mlp.fc2'),
    (r'^hidden_states_norms\.(\d)\.', r'norm\1.'),
    TABLE,
)
HUGGING_FACE_DROPS = (*BUFFERS, r'^(swin(v2)?\.)?layernorm\.', r'^classifier\.')

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
        drops=(*BUFFERS, r'^head\.'),
        converts=MM_CONVERTS,
        note="mmpretrain's classifiers do not shift a map of one window, the last of 224 pixels; "
        'here it is shifted, as in mmdet and mmseg',
    ),
    Format(
        'torchvision',
        markers=(r'^features\.0\.0\.', r'relative_position_bias_table'),
        renames=TORCHVISION_RENAMES,
        drops=OFFICIAL_DROPS,
    ),
    Format(
        'Hugging Face',
        markers=(r'embeddings\.patch_embeddings\.', r'relative_position_bias_table'),
        prepare=join_qkv,
        renames=HUGGING_FACE_RENAMES,
        drops=HUGGING_FACE_DROPS,
    ),
)
