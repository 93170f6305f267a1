"""Texts of small configs, whose models train for a step in a moment."""

from conftest import ROOT

CONFIGS = ROOT / 'configs'


def small_config(name, parts):
    """The text of a child of a shipped config, with a small Swin and these other parts."""
    return f"""
_base_ = '{CONFIGS / name}.py'
demo = dict(train=4, val=1, size=64, batch_size=2, epochs=1)
numbers = dict(dims=[16, 32, 64, 128], depths=(1, 1, 1, 1), heads=(1, 2, 4, 8))
model = dict(
    backbone=dict(arch=dict(_delete_=True, **numbers)),
    {parts}
)
"""


DETECTOR = small_config(
    'mask_rcnn_swin_t',
    """
    neck=dict(in_channels=numbers['dims'], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=64),
        mask_roi_extractor=dict(out_channels=32),
        mask_head=dict(in_channels=32, conv_out_channels=32),
    ),
""",
)
SEGMENTER = small_config(
    'upernet_swin_t',
    """
    decode_head=dict(in_channels=numbers['dims'], channels=32),
    auxiliary_head=dict(in_channels=64),
""",
)
