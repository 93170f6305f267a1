"""The arguments of the Swins of others, with their defaults, and what their tensors are called."""

from dataclasses import dataclass, field

from ..backbone import Backbone
from ..models import SwinTransformer, SwinTransformerV2
from ..weights.format import Format

# What they take, and what it is if a config does not say. Those of mmdet and mmseg agree.
MMDET_ARGUMENTS = dict(
    pretrain_img_size=224,
    in_channels=3,
    embed_dims=96,
    patch_size=4,
    window_size=7,
    mlp_ratio=4,
    depths=(2, 2, 6, 2),
    num_heads=(3, 6, 12, 24),
    strides=(4, 2, 2, 2),
    out_indices=(0, 1, 2, 3),
    qkv_bias=True,
    qk_scale=None,
    patch_norm=True,
    drop_rate=0,
    attn_drop_rate=0,
    drop_path_rate=0.1,
    use_abs_pos_embed=False,
    act_cfg=dict(type='GELU'),
    norm_cfg=dict(type='LN'),
    with_cp=False,
    pretrained=None,
    convert_weights=False,
    pretrain_style='mmcls',  # of mmseg 0.x: whose names a checkpoint has
    frozen_stages=-1,
    init_cfg=None,
)
# SwinTransformer/Swin-Transformer-Object-Detection, and its forks.
OFFICIAL_ARGUMENTS = dict(
    pretrain_img_size=224,
    in_chans=3,
    embed_dim=96,
    patch_size=4,
    window_size=7,
    mlp_ratio=4,
    depths=(2, 2, 6, 2),
    num_heads=(3, 6, 12, 24),
    out_indices=(0, 1, 2, 3),
    qkv_bias=True,
    qk_scale=None,
    patch_norm=True,
    drop_rate=0,
    attn_drop_rate=0,
    drop_path_rate=0.2,
    ape=False,
    norm_layer='LayerNorm',
    use_checkpoint=False,
    pretrained=None,
    frozen_stages=-1,
    init_cfg=None,
)
MMPRETRAIN_ARGUMENTS = dict(
    arch='tiny',
    img_size=224,
    patch_size=4,
    in_channels=3,
    window_size=7,
    drop_rate=0,
    drop_path_rate=0.1,
    out_indices=(3,),
    out_after_downsample=False,
    use_abs_pos_embed=False,
    interpolate_mode='bicubic',
    auto_pad=False,  # of mmcls 0.x
    with_cp=False,
    frozen_stages=-1,
    norm_eval=False,
    pad_small_map=False,
    norm_cfg=dict(type='LN'),
    stage_cfgs=dict(),
    patch_cfg=dict(),
    init_cfg=None,
)
MMPRETRAIN_V2_ARGUMENTS = MMPRETRAIN_ARGUMENTS | dict(
    img_size=256, window_size=8, pretrained_window_sizes=(0, 0, 0, 0)
)
# Arguments that ours lacks: they must be as above, and layers of these types.
FIXED = (
    'patch_size',
    'mlp_ratio',
    'qkv_bias',
    'qk_scale',
    'patch_norm',
    'drop_rate',
    'attn_drop_rate',
    'use_abs_pos_embed',
    'ape',
    'out_after_downsample',
    'patch_cfg',
    'strides',
)
NORM = dict(type=('LN', 'LayerNorm'), eps=(1e-5,), requires_grad=(True,))
LAYERS = dict(act_cfg=dict(type=('GELU',)), norm_cfg=NORM, norm_layer=NORM)
# Arguments of the official code and of forks: what mmdet's Swin calls them.
COUNTERPARTS = dict(
    embed_dim='embed_dims',
    in_chans='in_channels',
    ape='use_abs_pos_embed',
    use_checkpoint='with_cp',
    drop_path='drop_path_rate',
    norm_layer='norm_cfg',
)


@dataclass(frozen=True, eq=False)
class Family:
    """Swins that take the same arguments and have the same names of tensors."""

    name: str
    arguments: dict  # with their defaults
    tensors: Format
    ours: type[Backbone] = SwinTransformer
    # What they call our arguments, where that differs.
    names: dict = field(default_factory=dict)

    def value(self, theirs, name):
        """The value of one of our arguments among all of theirs."""
        return theirs[self.names.get(name, name)]


def format_of(backbone: type[Backbone], name: str) -> Format:
    """The format of a backbone's checkpoints that has this name."""
    return next(form for form in backbone.formats if form.name == name)


MMDET_FORMAT = format_of(SwinTransformer, 'mmdet or mmseg')
MMDET = Family('mmdet', MMDET_ARGUMENTS, MMDET_FORMAT)
AUTHORS = Family(
    'the official code',
    OFFICIAL_ARGUMENTS,
    format_of(SwinTransformer, 'official'),
    names=dict(in_channels='in_chans', embed_dims='embed_dim', with_cp='use_checkpoint'),
)
CLASSIFIER = Family('mmpretrain', MMPRETRAIN_ARGUMENTS, MMDET_FORMAT)
CLASSIFIER_V2 = Family(
    'mmpretrain',
    MMPRETRAIN_V2_ARGUMENTS,
    format_of(SwinTransformerV2, 'mmpretrain'),
    SwinTransformerV2,
)
FAMILIES = dict(
    SwinTransformer=(MMDET, AUTHORS, CLASSIFIER),
    SwinTransformerV2=(CLASSIFIER_V2,),
)
CLASSIFIERS = ('mmpretrain', 'mmcls', 'mmselfsup')
# A scope, or the first name of a module, that has the Swin of one of these or a parent's.
SCOPES = (
    *CLASSIFIERS,
    'mmdet',
    'mmseg',
    'mmpose',
    'mmrotate',
    'mmdet3d',
    'mmtrack',
    'mmyolo',
    'mmocr',
    'mmaction',
    'mmrazor',
    'mmagic',
    'opencd',
)


def family_of(kind, args, scope):
    """The family whose class a config means, by its arguments first and by its scope second.

    Forks and versions put the same name into the same scope, and packages need not be installed.
    """
    choices = FAMILIES[kind]
    if scope in CLASSIFIERS:
        choices = choices[::-1]
    return min(choices, key=lambda family: len(args.keys() - family.arguments.keys()))
