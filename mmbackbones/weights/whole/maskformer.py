"""MaskFormer of Hugging Face and of its authors, in detectron2; what Mask2Former shares with it."""

import re
from functools import partial

import torch

from .layout import WholeLayout, rename

# Places of the stuff among the classes of published panoptic models, by the numbers of things and
# stuff. In mmdet all things come first, as they do in files for COCO.
STUFF = {
    (100, 50): """
        0 1 2 3 4 5 6 9 11 13 16 17 21 25 26 28 29 34 40 46 48 51 52 54 59 60 61 63 68 77 79 84 91
        94 96 99 100 101 105 106 109 113 114 117 122 128 131 140 141 145
    """,  # ADE20K
    (8, 11): '0 1 2 3 4 5 6 7 8 9 10',  # Cityscapes
    (37, 28): """
        2 3 4 5 6 7 9 10 11 12 13 14 15 16 17 18 24 25 26 27 28 29 30 31 43 58 63 64
    """,  # Mapillary Vistas
}
UNUSED = re.compile(r'criterion\.empty_weight$|pixel_(mean|std)$')  # mm's are in the config


def convert(renames, model, tensors):
    """{name in the model: tensor} by a table of names, where `head` stands for that of the model.

    Dropped are the weight of the loss for no object and the normalisation of images.
    """
    tensors = joined({name: t for name, t in tensors.items() if not UNUSED.match(name)})
    place = head_of(model)
    found = rename(tensors, (*renames, (r'^head\.', f'{place}.')))
    order = things_first(getattr(model, place))
    for name in (f'{place}.cls_embed.weight', f'{place}.cls_embed.bias'):
        if order and name in found and len(found[name]) == len(order):
            found[name] = found[name][order]
    return found


def head_of(model):
    """What the head that predicts masks is called: mmdet's and mmseg's have different names."""
    for name in ('panoptic_head', 'decode_head'):
        if hasattr(getattr(model, name, None), 'mask_embed'):
            return name
    raise ValueError('it has no head that predicts masks')


def joined(tensors):
    """Hugging Face has three layers where PyTorch's attention has one."""
    part = re.compile(r'(model\.transformer_module\.decoder\..*attn\.)([qkv])_proj\.(weight|bias)$')
    whole: dict[str, torch.Tensor] = {}
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if match := part.match(name):
            parts.setdefault(f'{match[1]}in_proj_{match[3]}', {})[match[2]] = tensor
        else:
            whole[name] = tensor
    for name, found in parts.items():
        whole[name] = torch.cat([found[each] for each in 'qkv' if each in found])
    return whole


def things_first(head):
    """Rows of a published classifier as mmdet's panoptic head orders them, or None if equal."""
    if head.num_classes != head.num_things_classes + head.num_stuff_classes:  # mmseg's
        return None
    places = STUFF.get((head.num_things_classes, head.num_stuff_classes))
    if not places:
        return None
    stuff = [int(place) for place in places.split()]
    things = [place for place in range(head.num_classes) if place not in stuff]
    return [*things, *stuff, head.num_classes]  # no object stays the last


def every_second(match):
    """Linear layers are counted alone there, with the ReLUs between them in mm."""
    return f'head.mask_embed.{2 * int(match[1])}.'


def one_less(name):
    """Scales are counted from 1 there."""
    return lambda match: f'{name}.{int(match[1]) - 1}.'


HUGGING_FACE_RENAMES = (
    (r'^model\.pixel_level_module\.encoder\.((swin(v2)?|model)\.)?', 'backbone.'),
    (r'^model\.pixel_level_module\.decoder\.', 'head.pixel_decoder.'),
    (r'^model\.transformer_module\.decoder\.layernorm\.', 'head.transformer_decoder.post_norm.'),
    (r'^model\.transformer_module\.decoder\.layers\.', 'head.transformer_decoder.layers.'),
    (r'^model\.transformer_module\.queries_embedder\.', 'head.query_embed.'),
    (r'^class_predictor\.', 'head.cls_embed.'),
    (r'(head\..*\.layers\.\d+\.)(mlp\.)?fc1\.', r'\1ffn.layers.0.0.'),
    (r'(head\..*\.layers\.\d+\.)(mlp\.)?fc2\.', r'\1ffn.layers.1.'),
    (r'(head\.transformer_decoder\..*attn\.)o(ut)?_proj\.', r'\1out_proj.'),
    (r'(head\.transformer_decoder\..*\.)final_layer_norm\.', r'\1norms.2.'),
    (r'(head\.pixel_decoder\.)mask_projection\.', r'\1mask_feature.'),
)

DETECTRON2_RENAMES = (
    (r'^sem_seg_head\.(?!pixel_decoder\.|predictor\.)', 'sem_seg_head.pixel_decoder.'),  # of 2021
    (r'^sem_seg_head\.pixel_decoder\.', 'head.pixel_decoder.'),
    (r'^sem_seg_head\.predictor\.mask_embed\.layers\.(\d)\.', every_second),
    (r'^sem_seg_head\.predictor\.class_embed\.', 'head.cls_embed.'),
    (r'^sem_seg_head\.predictor\.query_embed\.', 'head.query_embed.'),
    (r'(head\.pixel_decoder\.)mask_features\.', r'\1mask_feature.'),
    (r'((adapter|layer)_\d\.)norm\.', r'\1gn.'),
    (r'((adapter|layer)_\d\.)(?!gn\.)', r'\1conv.'),
    (r'adapter_(\d)\.', one_less('lateral_convs')),
)

ATTENTION = (
    (r'(head\.transformer_decoder\..*)encoder_attn', r'\1cross_attn'),
    (r'(head\.transformer_decoder\..*)multihead_attn', r'\1cross_attn'),
    (r'(head\.transformer_decoder\..*_attn\.)(in|out)_proj', r'\1attn.\2_proj'),
)

MASKFORMER = (
    WholeLayout(
        'MaskFormer of Hugging Face',
        markers=(r'model\.pixel_level_module\.decoder\.fpn\.', r'model\.transformer_module\.'),
        convert=partial(
            convert,
            (
                *HUGGING_FACE_RENAMES,
                (r'^mask_embedder\.(\d)\.0\.', every_second),
                (r'^model\.transformer_module\.input_projection\.', 'head.decoder_input_proj.'),
                (r'(head\.pixel_decoder\.)fpn\.stem\.0\.', r'\1last_feat_conv.conv.'),
                (r'(head\.pixel_decoder\.)fpn\.stem\.1\.', r'\1last_feat_conv.gn.'),
                (r'fpn\.layers\.(\d)\.proj\.', lambda m: f'lateral_convs.{2 - int(m[1])}.'),
                (r'fpn\.layers\.(\d)\.block\.', lambda m: f'output_convs.{2 - int(m[1])}.'),
                (r'((lateral|output)_convs\.\d\.)0\.', r'\1conv.'),
                (r'((lateral|output)_convs\.\d\.)1\.', r'\1gn.'),
                (r'(head\.transformer_decoder\..*\.)self_attn_layer_norm\.', r'\1norms.0.'),
                (r'(head\.transformer_decoder\..*\.)encoder_attn_layer_norm\.', r'\1norms.1.'),
                *ATTENTION,
            ),
        ),
    ),
    WholeLayout(
        'MaskFormer of detectron2',
        markers=(r'sem_seg_head\.predictor\.transformer\.decoder\.',),
        convert=partial(
            convert,
            (
                *DETECTRON2_RENAMES,
                (r'layer_4\.', 'last_feat_conv.'),
                (r'layer_(\d)\.', one_less('output_convs')),
                (r'^sem_seg_head\.predictor\.input_proj\.', 'head.decoder_input_proj.'),
                (
                    r'^sem_seg_head\.predictor\.transformer\.decoder\.norm\.',
                    'head.transformer_decoder.post_norm.',
                ),
                (r'^sem_seg_head\.predictor\.transformer\.decoder\.', 'head.transformer_decoder.'),
                (r'(head\..*\.)linear1\.', r'\1ffn.layers.0.0.'),
                (r'(head\..*\.)linear2\.', r'\1ffn.layers.1.'),
                (
                    r'(head\.transformer_decoder\.layers\.\d+\.)norm([123])\.',
                    lambda m: f'{m[1]}norms.{int(m[2]) - 1}.',
                ),
                *ATTENTION,
            ),
        ),
    ),
)
