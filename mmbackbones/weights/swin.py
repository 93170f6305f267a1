"""Names and layouts of published Swin V1 checkpoints, most of which V2 shares."""

import re

import torch

from .format import Format


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
    part = re.compile(r'(.*attention\.)(?:self\.)?(query|key|value|[qkv]_proj)\.(weight|bias)$')
    joined, all_biased = {}, any(re.search(r'\.(key|k_proj)\.bias$', name) for name in tensors)
    for name, tensor in tensors.items():
        match = part.match(name)
        if not match:
            joined[name] = tensor
        elif match[3] == 'bias' and not all_biased:
            joined[f'{match[1]}self.{match[2][0]}_bias'] = tensor
        else:
            joined.setdefault(f'{match[1]}self.qkv.{match[3]}', {})[match[2][0]] = tensor
    return {
        name: torch.cat([value[key] for key in 'qkv']) if isinstance(value, dict) else value
        for name, value in joined.items()
    }


def norm_of_stage(match):
    """Hugging Face counts stages from 1 where names have the word, as in `stage1`."""
    first = 1 if match[1] else 0
    return f'norm{int(match[2]) - first}.'


TABLE = (r'attn\.relative_position_bias_table', 'attn.bias.relative_position_bias_table')
UNUSED = (r'relative_position_index$', r'attn_mask$', r'^mask_token$')

OFFICIAL_RENAMES = ((r'^patch_embed\.', 'stem.'), TABLE)
OFFICIAL_DROPS = (*UNUSED, r'^head\.', r'^norm\.')

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
    (r'^embeddings\.patch_embeddings\.projection\.', 'stem.proj.'),
    (r'^embeddings\.norm\.', 'stem.norm.'),
    (r'^hidden_states_norms\.(stage)?(\d)\.', norm_of_stage),
    (r'^encoder\.layers\.(\d)\.downsample', next_stage),
    (r'^encoder\.layers\.', 'stages.'),
    (r'layernorm_before', 'norm1'),
    (r'layernorm_after', 'norm2'),
    (r'attention\.(output\.dense|o_proj)', 'attn.proj'),
    (r'attention\.relative_position_bias\.', 'attn.'),
    (r'attention\.self\.', 'attn.'),
    (r'intermediate\.dense', 'mlp.fc1'),
    (r'output\.dense', 'mlp.fc2'),
    TABLE,
)
HUGGING_FACE_DROPS = (
    *UNUSED,
    r'^(swin(v2)?\.)?layernorm\.',  # of the classifier; transformers 5 saves it below `swin` alone
    r'^classifier\.',
    r'^embeddings\.mask_token$',
    r'^hidden_states_norms\.stem\.',
)
HUGGING_FACE = (r'^embeddings\.patch_embeddings\.', r'^encoder\.layers\.0\.')

V1 = r'relative_position_bias_table$'  # which V2 has not

FORMATS = (
    Format(
        'official',
        markers=(r'^patch_embed\.proj\.\w+$', r'^layers\.0\.downsample\.', V1),
        renames=(
            (r'^layers\.(\d)\.downsample', next_stage),
            (r'^layers\.', 'stages.'),
            *OFFICIAL_RENAMES,
        ),
        drops=OFFICIAL_DROPS,
    ),
    Format(
        'timm',
        markers=(r'^patch_embed\.proj\.\w+$', r'^layers\.[1-9]\d*\.downsample\.', V1),
        renames=((r'^layers\.', 'stages.'), *OFFICIAL_RENAMES),
        drops=OFFICIAL_DROPS,
    ),
    Format(
        'mmdet or mmseg',
        markers=(r'^patch_embed\.projection\.', r'^stages\.0\.', r'^norm[012]\.', V1),
        renames=MM_RENAMES,
        drops=UNUSED,
        converts=MM_CONVERTS,
    ),
    Format(
        'mmpretrain',
        markers=(r'^patch_embed\.projection\.', r'^stages\.0\.', V1),
        renames=MM_RENAMES,
        drops=(*UNUSED, r'^head\.'),
        converts=MM_CONVERTS,
        note="mmpretrain's classifiers do not shift a map of one window, the last of 224 pixels; "
        'here it is shifted, as in mmdet and mmseg',
    ),
    Format(
        'torchvision',
        markers=(r'^features\.0\.0\.', r'^features\.1\.0\.', V1),
        renames=TORCHVISION_RENAMES,
        drops=OFFICIAL_DROPS,
    ),
    Format(
        'Hugging Face',
        markers=(*HUGGING_FACE, V1),
        beside='hidden_states_norms.',
        prepare=join_qkv,
        renames=HUGGING_FACE_RENAMES,
        drops=HUGGING_FACE_DROPS,
        note='models of Hugging Face that are no backbones do not shift a map of one window, the '
        'last of 224 pixels; here it is shifted, as in its backbones',
    ),
)
