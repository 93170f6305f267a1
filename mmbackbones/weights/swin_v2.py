"""Names and layouts of published Swin V2 checkpoints."""

from .loading import Format
from .swin import BUFFERS, MM_RENAMES, OFFICIAL_DROPS, OFFICIAL_RENAMES, from_unfold, next_stage

BIAS = (r'attn\.cpb_mlp', 'attn.bias.cpb_mlp')
DROPS = (*OFFICIAL_DROPS, r'relative_coords_table$')
MM_NAMES = [rename for rename in MM_RENAMES if rename[1] is not next_stage]

FORMATS = (
    Format(
        'official',
        markers=(r'^layers\.0\.downsample\.', r'logit_scale'),
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
        markers=(r'^layers\.3\.downsample\.', r'logit_scale'),
        renames=((r'^layers\.', 'stages.'), *OFFICIAL_RENAMES, BIAS),
        drops=DROPS,
    ),
    Format(
        'mmpretrain',
        markers=(r'^patch_embed\.projection\.', r'logit_scale'),
        renames=(*MM_NAMES, BIAS),
        drops=(*BUFFERS, r'relative_coords_table$', r'^head\.', r'^norm3\.'),
        converts=((r'\.downsample\.reduction', from_unfold),),
    ),
)
