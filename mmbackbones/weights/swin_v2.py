"""Names and layouts of published Swin V2 checkpoints."""

from .format import Format
from .swin import (
    HUGGING_FACE,
    HUGGING_FACE_DROPS,
    HUGGING_FACE_RENAMES,
    MM_RENAMES,
    OFFICIAL_DROPS,
    OFFICIAL_RENAMES,
    TORCHVISION_RENAMES,
    UNUSED,
    from_unfold,
    join_qkv,
    next_stage,
)


def split_bias(tensors):
    """Torchvision keeps one bias of q, k and v; it never adds the part of k."""
    split = {}
    for name, tensor in tensors.items():
        parts = {'q_bias': 0, 'v_bias': 2} if name.endswith('attn.qkv.bias') else {}
        for part, index in parts.items():
            split[name.replace('qkv.bias', part)] = tensor.chunk(3)[index]
        if not parts:
            split[name] = tensor
    return split


BIAS = (r'attn\.(cpb|rpe)_mlp', 'attn.bias.cpb_mlp')  # early files of SimMIM say rpe
DROPS = (*OFFICIAL_DROPS, r'relative_coords_table$')
V2 = r'logit_scale$'
MM_NAMES = [rename for rename in MM_RENAMES if rename[1] is not next_stage]

FORMATS = (
    Format(
        'official',
        markers=(r'^patch_embed\.proj\.\w+$', r'^layers\.0\.downsample\.', V2),
        renames=(
            (r'^layers\.(\d)\.downsample', next_stage),
            (r'^layers\.', 'stages.'),
            *OFFICIAL_RENAMES,
            BIAS,
        ),
        drops=DROPS,
    ),
    Format(
        'timm',
        markers=(r'^patch_embed\.proj\.\w+$', r'^layers\.[1-9]\d*\.downsample\.', V2),
        renames=((r'^layers\.', 'stages.'), *OFFICIAL_RENAMES, BIAS),
        drops=DROPS,
    ),
    Format(
        'mmpretrain',
        markers=(r'^patch_embed\.projection\.', r'^stages\.0\.', V2),
        renames=(*MM_NAMES, BIAS),
        drops=(*UNUSED, r'relative_coords_table$', r'^head\.'),
        converts=((r'\.downsample\.reduction', from_unfold),),
    ),
    Format(
        'torchvision',
        markers=(r'^features\.0\.0\.', r'^features\.1\.0\.', V2),
        prepare=split_bias,
        renames=(*TORCHVISION_RENAMES, BIAS),
        drops=DROPS,
    ),
    Format(
        'Hugging Face',
        markers=(*HUGGING_FACE, V2),
        beside='hidden_states_norms.',
        prepare=join_qkv,
        renames=(
            *HUGGING_FACE_RENAMES,
            (r'attn\.continuous_position_bias_mlp', 'attn.bias.cpb_mlp'),
        ),
        drops=(*HUGGING_FACE_DROPS, r'relative_coords_table$'),
    ),
)
