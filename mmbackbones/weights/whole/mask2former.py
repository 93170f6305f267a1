"""Mask2Former of Hugging Face and of its authors, in detectron2."""

from functools import partial

from .layout import WholeLayout
from .maskformer import ATTENTION, DETECTRON2_RENAMES, HUGGING_FACE_RENAMES, convert, every_second

PIXEL_DECODER = (
    (r'layer_1\.', 'output_convs.0.'),
    (
        r'(head\.pixel_decoder\.)(input_proj|input_projections)\.(\d)\.0\.',
        r'\1input_convs.\3.conv.',
    ),
    (r'(head\.pixel_decoder\.)(input_proj|input_projections)\.(\d)\.1\.', r'\1input_convs.\3.gn.'),
    (r'(head\.pixel_decoder\.)level_embed$', r'\1level_encoding.weight'),
)

MASK2FORMER = (
    WholeLayout(
        'Mask2Former of Hugging Face',
        markers=(r'model\.transformer_module\.queries_features\.',),
        convert=partial(
            convert,
            (
                (
                    r'^model\.transformer_module\.decoder\.mask_predictor\.mask_embedder\.(\d)\.0\.',
                    every_second,
                ),
                (r'^model\.transformer_module\.queries_features\.', 'head.query_feat.'),
                (r'^model\.transformer_module\.level_embed\.', 'head.level_embed.'),
                (r'^model\.transformer_module\.input_projections\.', 'head.decoder_input_projs.'),
                *HUGGING_FACE_RENAMES,
                (r'((adapter|layer)_\d\.)0\.', r'\1conv.'),
                (r'((adapter|layer)_\d\.)1\.', r'\1gn.'),
                (r'adapter_1\.', 'lateral_convs.0.'),
                (r'(head\.pixel_decoder\..*\.)self_attn_layer_norm\.', r'\1norms.0.'),
                (r'(head\.pixel_decoder\..*\.)final_layer_norm\.', r'\1norms.1.'),
                (r'(head\.transformer_decoder\..*\.)cross_attn_layer_norm\.', r'\1norms.0.'),
                (r'(head\.transformer_decoder\..*\.)self_attn_layer_norm\.', r'\1norms.1.'),
                *PIXEL_DECODER,
                *ATTENTION,
            ),
        ),
    ),
    WholeLayout(
        'Mask2Former of detectron2',
        markers=(r'sem_seg_head\.predictor\.transformer_cross_attention_layers\.',),
        convert=partial(
            convert,
            (
                *DETECTRON2_RENAMES,
                (r'^sem_seg_head\.predictor\.(static_query|query_feat)\.', 'head.query_feat.'),
                (r'^sem_seg_head\.predictor\.level_embed\.', 'head.level_embed.'),
                (r'^sem_seg_head\.predictor\.input_proj\.', 'head.decoder_input_projs.'),
                (
                    r'^sem_seg_head\.predictor\.decoder_norm\.',
                    'head.transformer_decoder.post_norm.',
                ),
                (r'(head\.pixel_decoder\.)transformer\.', r'\1'),
                (r'(head\.pixel_decoder\.encoder\.layers\.\d+\.)norm1\.', r'\1norms.0.'),
                (r'(head\.pixel_decoder\.encoder\.layers\.\d+\.)norm2\.', r'\1norms.1.'),
                (
                    r'^sem_seg_head\.predictor\.transformer_cross_attention_layers\.(\d+)\.norm\.',
                    r'head.transformer_decoder.layers.\1.norms.0.',
                ),
                (
                    r'^sem_seg_head\.predictor\.transformer_self_attention_layers\.(\d+)\.norm\.',
                    r'head.transformer_decoder.layers.\1.norms.1.',
                ),
                (
                    r'^sem_seg_head\.predictor\.transformer_ffn_layers\.(\d+)\.norm\.',
                    r'head.transformer_decoder.layers.\1.norms.2.',
                ),
                (
                    r'^sem_seg_head\.predictor\.transformer_\w+_layers\.',
                    'head.transformer_decoder.layers.',
                ),
                (r'(head\..*\.)linear1\.', r'\1ffn.layers.0.0.'),
                (r'(head\..*\.)linear2\.', r'\1ffn.layers.1.'),
                *PIXEL_DECODER,
                *ATTENTION,
            ),
        ),
    ),
)
