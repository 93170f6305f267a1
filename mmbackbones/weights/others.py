"""Architectures that are near ours and are not ours: how their files are recognised."""

from .format import Format

OTHERS = (
    Format(
        "CTransPath: a Swin with a stem of three convolutions, which ours doesn't have",
        markers=(r'^patch_embed\.proj\.0\.', r'^layers\.0\.blocks\.0\.attn\.'),
    ),
    Format(
        'a Swin with absolute positions (MixMAE, or ape=True)',
        markers=(
            r'^patch_embed\.proj(ection)?\.weight',
            r'^absolute_pos_embed$',
            r'relative_position_bias_table$',
        ),
    ),
    Format(
        'a Swin with absolute positions (use_absolute_embeddings=True of Hugging Face)',
        markers=(
            r'^embeddings\.patch_embeddings\.',
            r'^embeddings\.position_embeddings$',
            r'^encoder\.layers\.',
        ),
    ),
    Format(
        'Swin2SR, which restores images and has no pyramid',
        markers=(r'^embeddings\.patch_embeddings\.', r'^encoder\.stages\.0\.layers\.'),
    ),
    Format(
        'CLAP, a Swin for sounds',
        markers=(r'^patch_embed\.proj\.', r'^layers\.0\.blocks\.0\.attention\.'),
    ),
    Format(
        "Video Swin, whose windows are three-dimensional (torchvision's swin3d)",
        markers=(r'^patch_embed\.proj\.', r'^features\.0\.0\.attn\.'),
    ),
    Format(
        "timm's Swin V2-CR, another design of Swin V2; take timm's swinv2_*_window*",
        markers=(r'^patch_embed\.', r'^stages\.0\.blocks\.0\.attn\.meta_mlp\.'),
    ),
    Format(
        "timm's MaxxViT, with blocks of ConvNeXt; take timm's maxvit_*_tf_*",
        markers=(r'^stem\.', r'^stages\.0\.blocks\.0\.conv\.conv_dw\.'),
    ),
    Format(
        "timm's CoAtNet; take timm's maxvit_*_tf_*",
        markers=(r'^stem\.', r'^stages\.0\.blocks\.0\.(pre_norm|conv_dw)\.', r'\.attn\.rel_pos\.'),
    ),
    Format(
        "timm's MaxViT rmlp, whose positions come from an MLP; take timm's maxvit_*_tf_*",
        markers=(
            r'^stages\.0\.blocks\.0\.conv\.pre_norm\.',
            r'^stages\.0\.blocks\.0\.attn_block\.attn\.rel_pos\.mlp\.',
        ),
    ),
    Format(
        "timm's MaxViT rw or pm, another design of MaxViT; take timm's maxvit_*_tf_*",
        markers=(r'^stem\.conv1\.', r'^stages\.0\.blocks\.0\.conv\.(0\.)?pre_norm\.'),
        lacks=(r'^stem\.conv1\.bias$',),
    ),
)
