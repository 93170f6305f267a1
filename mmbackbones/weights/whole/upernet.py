"""UPerNet of Hugging Face, in the names of mmseg's EncoderDecoder."""

from .layout import WholeLayout, rename

RENAMES = (
    (r'_head\.classifier\.', '_head.conv_seg.'),
    (r'\.batch_norm\.', '.bn.'),
)


def to_mmseg(model, tensors):
    """{name in mmseg: tensor} of Hugging Face's UPerNet."""
    return rename(tensors, RENAMES)


UPERNET = (
    WholeLayout(
        'UPerNet of Hugging Face',
        markers=(r'decode_head\.psp_modules\.0\.1\.batch_norm\.', r'decode_head\.classifier\.'),
        convert=to_mmseg,
    ),
)
