"""Names of the published CONTAINER checkpoint; its 1 x 1 convolutions are our linear layers."""

from .format import Format

FORMATS = (
    Format(
        'official',
        markers=(r'^patch_embed1\.', r'^blocks4\.0\.sa_weight'),
        renames=(
            (r'^patch_embed1\.', 'stem.'),
            (r'^patch_embed([234])\.', lambda m: f'stages.{int(m[1]) - 1}.downsample.'),
            (r'^(blocks4\.\d+)\.conv1', r'\1.attn.qkv'),
            (r'^(blocks4\.\d+)\.conv\.', r'\1.attn.static.0.'),
            (r'^(blocks[123]\.\d+)\.attn\.', r'\1.attn.static.0.'),
            (r'^(blocks[123]\.\d+)\.conv1', r'\1.attn.v'),
            (r'^(blocks\d\.\d+)\.conv2', r'\1.attn.proj'),
            (r'^(blocks\d\.\d+)\.sa_weight', r'\1.attn.sa_weight'),
            (r'^(blocks\d\.\d+)\.pos_embed', r'\1.cpe.proj'),
            (r'^(blocks\d\.\d+\.norm[12])\.', r'\1.0.'),
            (r'^blocks(\d)\.', lambda m: f'stages.{int(m[1]) - 1}.blocks.'),
        ),
        drops=(r'^norm\.', r'^head\.'),
        converts=((r'(attn\.(v|qkv|proj)|mlp\.fc[12])\.weight', lambda tensor: tensor.flatten(1)),),
    ),
)
