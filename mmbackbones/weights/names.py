"""Names of models in timm and at Hugging Face, and which of the published weights they are.

Name -> (class, arch, label in `PUBLISHED`). What is missing is another architecture, or was trained
by timm, or has no weights. Hugging Face's Swin were converted from what timm called so in 2022,
which for base and large was 22K's fine-tuned on 1K.
"""

from . import hub
from .published import PUBLISHED, Known

TIMM = {
    'davit_base.msft_in1k': ('DaViT', 'base', '1K'),
    'davit_base_fl.msft_florence2': ('DaViT', 'base_fl', 'Florence-2'),
    'davit_huge_fl.msft_florence2': ('DaViT', 'huge_fl', 'Florence-2'),
    'davit_small.msft_in1k': ('DaViT', 'small', '1K'),
    'davit_tiny.msft_in1k': ('DaViT', 'tiny', '1K'),
    'maxvit_base_tf_224.in1k': ('MaxViT', 'base', '1K'),
    'maxvit_base_tf_224.in21k': ('MaxViT', 'base', '21K'),
    'maxvit_base_tf_384.in1k': ('MaxViT', 'base', '1K 384'),
    'maxvit_base_tf_384.in21k_ft_in1k': ('MaxViT', 'base', '21K to 1K 384'),
    'maxvit_base_tf_512.in1k': ('MaxViT', 'base', '1K 512'),
    'maxvit_base_tf_512.in21k_ft_in1k': ('MaxViT', 'base', '21K to 1K 512'),
    'maxvit_large_tf_224.in1k': ('MaxViT', 'large', '1K'),
    'maxvit_large_tf_224.in21k': ('MaxViT', 'large', '21K'),
    'maxvit_large_tf_384.in1k': ('MaxViT', 'large', '1K 384'),
    'maxvit_large_tf_384.in21k_ft_in1k': ('MaxViT', 'large', '21K to 1K 384'),
    'maxvit_large_tf_512.in1k': ('MaxViT', 'large', '1K 512'),
    'maxvit_large_tf_512.in21k_ft_in1k': ('MaxViT', 'large', '21K to 1K 512'),
    'maxvit_small_tf_224.in1k': ('MaxViT', 'small', '1K'),
    'maxvit_small_tf_384.in1k': ('MaxViT', 'small', '1K 384'),
    'maxvit_small_tf_512.in1k': ('MaxViT', 'small', '1K 512'),
    'maxvit_tiny_tf_224.in1k': ('MaxViT', 'tiny', '1K'),
    'maxvit_tiny_tf_384.in1k': ('MaxViT', 'tiny', '1K 384'),
    'maxvit_tiny_tf_512.in1k': ('MaxViT', 'tiny', '1K 512'),
    'maxvit_xlarge_tf_224.in21k': ('MaxViT', 'xlarge', '21K'),
    'maxvit_xlarge_tf_384.in21k_ft_in1k': ('MaxViT', 'xlarge', '21K to 1K 384'),
    'maxvit_xlarge_tf_512.in21k_ft_in1k': ('MaxViT', 'xlarge', '21K to 1K 512'),
    'swin_base_patch4_window12_384.ms_in1k': ('SwinTransformer', 'base', '1K 384'),
    'swin_base_patch4_window12_384.ms_in22k': ('SwinTransformer', 'base', '22K 384'),
    'swin_base_patch4_window12_384.ms_in22k_ft_in1k': ('SwinTransformer', 'base', '22K to 1K 384'),
    'swin_base_patch4_window7_224.ms_in1k': ('SwinTransformer', 'base', '1K'),
    'swin_base_patch4_window7_224.ms_in22k': ('SwinTransformer', 'base', '22K'),
    'swin_base_patch4_window7_224.ms_in22k_ft_in1k': ('SwinTransformer', 'base', '22K to 1K'),
    'swin_large_patch4_window12_384.ms_in22k': ('SwinTransformer', 'large', '22K 384'),
    'swin_large_patch4_window12_384.ms_in22k_ft_in1k': (
        'SwinTransformer',
        'large',
        '22K to 1K 384',
    ),
    'swin_large_patch4_window7_224.ms_in22k': ('SwinTransformer', 'large', '22K'),
    'swin_large_patch4_window7_224.ms_in22k_ft_in1k': ('SwinTransformer', 'large', '22K to 1K'),
    'swin_s3_small_224.ms_in1k': ('SwinTransformer', 'small', 'S3'),
    'swin_s3_tiny_224.ms_in1k': ('SwinTransformer', 'tiny', 'S3'),
    'swin_small_patch4_window7_224.ms_in1k': ('SwinTransformer', 'small', '1K'),
    'swin_small_patch4_window7_224.ms_in22k': ('SwinTransformer', 'small', '22K'),
    'swin_small_patch4_window7_224.ms_in22k_ft_in1k': ('SwinTransformer', 'small', '22K to 1K'),
    'swin_tiny_patch4_window7_224.ms_in1k': ('SwinTransformer', 'tiny', '1K'),
    'swin_tiny_patch4_window7_224.ms_in22k': ('SwinTransformer', 'tiny', '22K'),
    'swin_tiny_patch4_window7_224.ms_in22k_ft_in1k': ('SwinTransformer', 'tiny', '22K to 1K'),
    'swinv2_base_window12_192.ms_in22k': ('SwinTransformerV2', 'base', '22K w12'),
    'swinv2_base_window12to16_192to256.ms_in22k_ft_in1k': (
        'SwinTransformerV2',
        'base',
        '22K to 1K w16',
    ),
    'swinv2_base_window12to24_192to384.ms_in22k_ft_in1k': (
        'SwinTransformerV2',
        'base',
        '22K to 1K w24',
    ),
    'swinv2_base_window16_256.ms_in1k': ('SwinTransformerV2', 'base', 'w16'),
    'swinv2_base_window8_256.ms_in1k': ('SwinTransformerV2', 'base', 'w8'),
    'swinv2_large_window12_192.ms_in22k': ('SwinTransformerV2', 'large', '22K w12'),
    'swinv2_large_window12to16_192to256.ms_in22k_ft_in1k': (
        'SwinTransformerV2',
        'large',
        '22K to 1K w16',
    ),
    'swinv2_large_window12to24_192to384.ms_in22k_ft_in1k': (
        'SwinTransformerV2',
        'large',
        '22K to 1K w24',
    ),
    'swinv2_small_window16_256.ms_in1k': ('SwinTransformerV2', 'small', 'w16'),
    'swinv2_small_window8_256.ms_in1k': ('SwinTransformerV2', 'small', 'w8'),
    'swinv2_tiny_window16_256.ms_in1k': ('SwinTransformerV2', 'tiny', 'w16'),
    'swinv2_tiny_window8_256.ms_in1k': ('SwinTransformerV2', 'tiny', 'w8'),
    'volo_d1_224.sail_in1k': ('VOLO', 'd1', '1K'),
    'volo_d1_384.sail_in1k': ('VOLO', 'd1', '384'),
    'volo_d2_224.sail_in1k': ('VOLO', 'd2', '1K'),
    'volo_d2_384.sail_in1k': ('VOLO', 'd2', '384'),
    'volo_d3_224.sail_in1k': ('VOLO', 'd3', '1K'),
    'volo_d3_448.sail_in1k': ('VOLO', 'd3', '448'),
    'volo_d4_224.sail_in1k': ('VOLO', 'd4', '1K'),
    'volo_d4_448.sail_in1k': ('VOLO', 'd4', '448'),
    'volo_d5_224.sail_in1k': ('VOLO', 'd5', '1K'),
    'volo_d5_448.sail_in1k': ('VOLO', 'd5', '448'),
    'volo_d5_512.sail_in1k': ('VOLO', 'd5', '512'),
}

HUGGING_FACE = {
    'florence-community/Florence-2-base': ('DaViT', 'base_fl', 'Florence-2'),
    'florence-community/Florence-2-base-ft': ('DaViT', 'base_fl', 'Florence-2 fine-tuned'),
    'florence-community/Florence-2-large': ('DaViT', 'huge_fl', 'Florence-2'),
    'florence-community/Florence-2-large-ft': ('DaViT', 'huge_fl', 'Florence-2 fine-tuned'),
    'microsoft/Florence-2-base': ('DaViT', 'base_fl', 'Florence-2'),
    'microsoft/Florence-2-base-ft': ('DaViT', 'base_fl', 'Florence-2 fine-tuned'),
    'microsoft/Florence-2-large': ('DaViT', 'huge_fl', 'Florence-2'),
    'microsoft/Florence-2-large-ft': ('DaViT', 'huge_fl', 'Florence-2 fine-tuned'),
    'microsoft/swin-base-patch4-window12-384': ('SwinTransformer', 'base', '22K to 1K 384'),
    'microsoft/swin-base-patch4-window12-384-in22k': ('SwinTransformer', 'base', '22K 384'),
    'microsoft/swin-base-patch4-window7-224': ('SwinTransformer', 'base', '22K to 1K'),
    'microsoft/swin-base-patch4-window7-224-in22k': ('SwinTransformer', 'base', '22K'),
    'microsoft/swin-base-simmim-window6-192': ('SwinTransformer', 'base', 'SimMIM'),
    'microsoft/swin-large-patch4-window12-384': ('SwinTransformer', 'large', '22K to 1K 384'),
    'microsoft/swin-large-patch4-window12-384-in22k': ('SwinTransformer', 'large', '22K 384'),
    'microsoft/swin-large-patch4-window7-224': ('SwinTransformer', 'large', '22K to 1K'),
    'microsoft/swin-large-patch4-window7-224-in22k': ('SwinTransformer', 'large', '22K'),
    'microsoft/swin-large-simmim-window12-192': ('SwinTransformer', 'large', 'SimMIM'),
    'microsoft/swin-small-patch4-window7-224': ('SwinTransformer', 'small', '1K'),
    'microsoft/swin-tiny-patch4-window7-224': ('SwinTransformer', 'tiny', '1K'),
    'microsoft/swinv2-base-patch4-window12-192-22k': ('SwinTransformerV2', 'base', '22K w12'),
    'microsoft/swinv2-base-patch4-window12to16-192to256-22kto1k-ft': (
        'SwinTransformerV2',
        'base',
        '22K to 1K w16',
    ),
    'microsoft/swinv2-base-patch4-window12to24-192to384-22kto1k-ft': (
        'SwinTransformerV2',
        'base',
        '22K to 1K w24',
    ),
    'microsoft/swinv2-base-patch4-window16-256': ('SwinTransformerV2', 'base', 'w16'),
    'microsoft/swinv2-base-patch4-window8-256': ('SwinTransformerV2', 'base', 'w8'),
    'microsoft/swinv2-large-patch4-window12-192-22k': ('SwinTransformerV2', 'large', '22K w12'),
    'microsoft/swinv2-large-patch4-window12to16-192to256-22kto1k-ft': (
        'SwinTransformerV2',
        'large',
        '22K to 1K w16',
    ),
    'microsoft/swinv2-large-patch4-window12to24-192to384-22kto1k-ft': (
        'SwinTransformerV2',
        'large',
        '22K to 1K w24',
    ),
    'microsoft/swinv2-small-patch4-window16-256': ('SwinTransformerV2', 'small', 'w16'),
    'microsoft/swinv2-small-patch4-window8-256': ('SwinTransformerV2', 'small', 'w8'),
    'microsoft/swinv2-tiny-patch4-window16-256': ('SwinTransformerV2', 'tiny', 'w16'),
    'microsoft/swinv2-tiny-patch4-window8-256': ('SwinTransformerV2', 'tiny', 'w8'),
}


def find_name(name: str) -> Known | None:
    """The published weights that a model of timm or a repository of Hugging Face has.

    The name may stand in an address of the Hub, in any form that `hub.parse` knows.
    """
    try:
        address = hub.parse(name)
    except FileNotFoundError:
        return None
    if address:
        name = address['repo']
    place = (TIMM | HUGGING_FACE).get(name.removeprefix('timm/'))
    return place and Known(*place, PUBLISHED[place[0]][place[1]][place[2]])
