"""DINO of detrex and of its authors, in the names and shapes of mmdet's DINO.

Predictions are theirs, with two exceptions. Before its last layer both move a box's centre and
sides to at least 0.001 and at most 0.999 of the image, which mmdet's head does not. And detrex,
when it predicts a batch, reads the padding of its smaller images.
"""

import re

from .layout import WholeLayout, rename

RENAMES = (
    (r'^class_embed\.', 'bbox_head.cls_branches.'),
    (
        r'^bbox_embed\.(\d+)\.layers\.(\d+)\.',
        lambda m: f'bbox_head.reg_branches.{m[1]}.{2 * int(m[2])}.',  # activations are counted
    ),
    (r'^label_enc\.', 'dn_query_generator.label_embedding.'),
    (r'^transformer\.level_embeds?$', 'level_embed'),
    (r'^transformer\.tgt_embed\.', 'query_embedding.'),
    (r'^transformer\.enc_output\.', 'memory_trans_fc.'),
    (r'^transformer\.enc_output_norm\.', 'memory_trans_norm.'),
    (r'^transformer\.(encoder|decoder)\.', r'\1.'),
)
DETREX_RENAMES = (
    *RENAMES,
    (r'^(neck\.\w+\.\d+)\.norm\.', r'\1.gn.'),
    (r'\.attentions\.0\.', '.self_attn.'),
    (r'\.attentions\.1\.', '.cross_attn.'),
    (r'\.ffns\.0\.', '.ffn.'),
)
AUTHORS_RENAMES = (
    *RENAMES,
    (r'^backbone\.0\.', 'backbone.'),
    (r'^(decoder\.layers\.\d+\.self_attn)\.(in_proj|out_proj)', r'\1.attn.\2'),
    (r'^(encoder\.layers\.\d+)\.norm(\d)\.', lambda m: f'{m[1]}.norms.{int(m[2]) - 1}.'),
    # The authors number a decoder's norms as its layers are written, mmdet as they are called.
    (r'^(decoder\.layers\.\d+)\.norm2\.', r'\1.norms.0.'),
    (r'^(decoder\.layers\.\d+)\.norm1\.', r'\1.norms.1.'),
    (r'^(decoder\.layers\.\d+)\.norm3\.', r'\1.norms.2.'),
    (r'\.linear1\.', '.ffn.layers.0.0.'),
    (r'\.linear2\.', '.ffn.layers.1.'),
)
# The authors count classes by COCO's category ids, 0 to 90, of which these name nothing.
NO_CATEGORIES = {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
CATEGORIES = [number for number in range(91) if number not in NO_CATEGORIES]


def from_detrex(model, tensors):
    """{name in mmdet: tensor} of detrex's DINO."""
    tensors = {n: t for n, t in heads_once(tensors).items() if not n.startswith('criterion.')}
    return for_model(model, rename(tensors, DETREX_RENAMES))


def from_authors(model, tensors):
    """{name in mmdet: tensor} of the authors' DINO."""
    tensors, ours = heads_once(tensors), model.state_dict()
    layers = {m[1] for name in tensors if (m := re.match(r'class_embed\.(\d+)', name))}
    maps = sum(bool(re.match(r'neck\.convs\.\d+\.conv\.weight', name)) for name in ours)

    def conv(match):
        """The neck of mmdet has the levels apart that it makes from the last map."""
        level, part = int(match[1]), ('conv', 'gn')[int(match[2])]
        place = f'convs.{level}' if level < maps else f'extra_convs.{level - maps}'
        return f'neck.{place}.{part}.'

    renames = (
        (r'^transformer\.enc_out_(class|bbox)_embed\.', rf'\1_embed.{len(layers)}.'),
        (r'^input_proj\.(\d+)\.([01])\.', conv),
        *AUTHORS_RENAMES,
    )
    tensors = rename(tensors, renames)
    classes = ours.get('bbox_head.cls_branches.0.bias', ())
    return for_model(model, {n: of_classes(n, t, len(classes)) for n, t in tensors.items()})


def heads_once(tensors):
    """The tensors without those of heads that the decoder shares with the model itself."""
    found = {}
    for name, tensor in tensors.items():
        own = re.sub(r'^transformer\.decoder\.((class|bbox)_embed\.)', r'\1', name)
        if own == name or own not in tensors:
            found[own] = tensor
    return found


def of_classes(name, tensor, classes):
    """A tensor of the authors' 91 classes with the rows of COCO's 80, where a model has 80.

    The labels of denoising have a row more, which nobody reads.
    """
    if name.startswith('dn_query_generator.label_embedding.'):
        tensor = tensor[:-1]
    elif not name.startswith('bbox_head.cls_branches.'):
        return tensor
    return tensor[CATEGORIES] if (len(tensor), classes) == (91, 80) else tensor


def for_model(model, tensors):
    """The tensors as this version of mmdet has them.

    Raises:
        ValueError: The neck has biases in the file alone.
    """
    ours = model.state_dict()
    bias = 'neck.convs.0.conv.bias'
    if bias in tensors and bias not in ours and bias.replace('bias', 'weight') in ours:
        raise ValueError('its neck has biases, which model.neck.bias=True adds')
    name = 'decoder.ref_point_head.layers.0.weight'
    if name in tensors and name in ours:
        tensors[name] = for_finer_positions(tensors[name], ours[name])
    return tensors


def for_finer_positions(weight, like):
    """A weight for encoded boxes, for mmdet 3.5 with zeros where that has frequencies between."""
    rows, columns = weight.shape
    if tuple(like.shape) != (rows, 2 * columns):
        return weight
    wide = weight.new_zeros(rows, 4, columns // 8, 2, 2)  # coordinates, frequencies, new, sine
    wide[:, :, :, 0] = weight.view(rows, 4, columns // 8, 2)
    return wide.view(rows, 2 * columns)


DINO = (
    WholeLayout(
        'DINO of detrex',
        markers=(
            r'transformer\.encoder\.layers\.0\.attentions\.0\.sampling_offsets\.',
            r'transformer\.tgt_embed\.',
            r'label_enc\.',
        ),
        convert=from_detrex,
        constants=(
            ('positional_encoding.temperature', 10000),
            ('positional_encoding.offset', -0.5),
        ),
    ),
    WholeLayout(
        'DINO of its authors',
        markers=(
            r'transformer\.encoder\.layers\.0\.self_attn\.sampling_offsets\.',
            r'transformer\.tgt_embed\.',
            r'transformer\.enc_out_class_embed\.',
        ),
        convert=from_authors,
        constants=(('positional_encoding.temperature', 20), ('positional_encoding.offset', 0)),
    ),
    WholeLayout(
        'mmdet',
        markers=(r'decoder\.ref_point_head\.layers\.0\.', r'bbox_head\.cls_branches\.0\.'),
        convert=lambda model, tensors: for_model(model, dict(tensors)),
    ),
)
