"""Weights of the backbones that others published, and what each file expects of images.

`PUBLISHED` is class -> arch -> label -> `Published`. A label says what a file was trained on (1K,
22K, aerial), the size of the images where it is not the usual one, the window (w16). All figures
are their authors'. Nothing could be downloaded where this was written: addresses, figures,
normalisation and licences are those of the page or code that `source` names. A size that is missing
has no public weights.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
HALF = (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)  # from -1 to 1
UNIT = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)  # from 0 to 1


@dataclass(frozen=True)
class Published:
    """A file of weights: its address, the images that it expects, and what its authors report."""

    url: str
    top1: float | None = None  # on ImageNet-1K, by its authors
    measured: str = ''  # how, where it is not the classifier of the file itself
    size: int = 224  # of the images in pixels
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of a backbone as it was trained
    channels: str = 'RGB'  # in the order in which the backbone takes them
    values: tuple[int, int] = (0, 255)  # between which the values of the images lie
    normalization: tuple = IMAGENET  # (mean, std) of these values
    note: str = ''
    licence: str = ''
    source: str = ''

    @property
    def figure(self) -> str:
        """The top-1 as text, with how it was measured."""
        return f'{self.top1} {self.measured}'.strip() if self.top1 else ''

    @property
    def preprocessor(self) -> dict[str, Any]:
        """What the `data_preprocessor` of mmdet's and mmseg's models needs for this file."""
        mean, std = map(list, self.normalization)
        return dict(mean=mean, std=std, bgr_to_rgb=self.channels == 'RGB')

    @property
    def input_range(self) -> tuple[float, float]:
        """Between which numbers the inputs of the backbone lie."""
        pairs = list(zip(*self.normalization, strict=True))
        low, high = self.values
        return min((low - m) / s for m, s in pairs), max((high - m) / s for m, s in pairs)

    @property
    def is_direct(self) -> bool:
        """Whether the address gives the file itself, and not a page for a browser."""
        return urlsplit(self.url).netloc not in ('drive.google.com', '1drv.ms')


class Known(NamedTuple):
    """A published file with its place in the list."""

    name: str
    arch: str
    label: str
    weights: Published


SWIN = 'https://github.com/SwinTransformer/storage/releases/download'
TIMM = 'https://huggingface.co/timm'
VISION = 'https://download.pytorch.org/models'
FLORENCE = 'https://huggingface.co/microsoft/Florence-2'
VOLO = 'https://github.com/sail-sg/volo/releases/download/volo_1'
SIMMIM = 'https://huggingface.co/zdaxie/SimMIM/resolve/main/simmim_swinv2_pretrain_models'
SATLAS = 'https://huggingface.co/allenai/satlas-pretrain/resolve/main'
ESVIT = 'https://chunyleu.blob.core.windows.net/output/ckpts/esvit/swin'
SELFSUP = 'https://download.openmmlab.com/mmselfsup/1.x/simmim'
DRIVE = 'https://drive.google.com/file/d'
SAFE = 'resolve/main/model.safetensors'
BIN = 'resolve/main/pytorch_model.bin'

MODELHUB = 'https://github.com/microsoft/Swin-Transformer/blob/main/MODELHUB.md'
swin = partial(Published, licence='MIT', source=MODELHUB)
torchvision = partial(
    Published,
    licence='BSD-3-Clause',
    source='https://github.com/pytorch/vision/blob/main/torchvision/models/swin_transformer.py',
)
maxvit = partial(
    Published,
    licence='Apache-2.0',
    source='https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/maxxvit.py',
    normalization=HALF,
)
davit = partial(
    Published,
    licence='Apache-2.0',
    source='https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/davit.py',
)
florence = partial(
    Published,
    size=768,
    licence='MIT',
    source='https://huggingface.co/microsoft/Florence-2-base',
    note='the whole model',
)
volo = partial(
    Published,
    licence='Apache-2.0',
    source='https://github.com/sail-sg/volo',
    note='"for commercial use, please contact with the authors"',
)
moby = partial(
    Published,
    measured='linear',
    licence='MIT',
    source='https://github.com/SwinTransformer/Transformer-SSL',
)
esvit = partial(
    Published, measured='linear', licence='MIT', source='https://github.com/microsoft/esvit'
)
greenmim = partial(Published, licence='CC-BY-NC-4.0', source='https://github.com/LayneH/GreenMIM')
simmim = partial(Published, measured='fine-tuned', size=192, licence='MIT', source=MODELHUB)
mmpretrain = partial(
    Published,
    measured='fine-tuned',
    size=192,
    licence='Apache-2.0',
    source='https://github.com/open-mmlab/mmpretrain/blob/main/configs/simmim/metafile.yml',
)
satlas = partial(
    Published,
    size=512,
    normalization=UNIT,
    licence='ODC-BY',
    source='https://github.com/allenai/satlaspretrain_models',
)

# Windows of Swin V2 as the files were trained with them; the last stage saw smaller maps.
W12 = dict(window_size=12, pretrained_window_size=(12, 12, 12, 6))
W16 = dict(window_size=16, pretrained_window_size=(16, 16, 16, 8))
W12_TO_16 = dict(W12, window_size=16)
W12_TO_24 = dict(W12, window_size=24)
# Swin V2-H of SimMIM: dims and depths are huge's, but the authors' code norms the main branch
# nowhere, and its other sizes have heads of 32 channels; mmpretrain's huge has 8 to 64 of 44.
SIMMIM_HUGE = dict(
    arch=dict(
        dims=(352, 704, 1408, 2816),
        depths=(2, 2, 18, 2),
        heads=(11, 22, 44, 88),
        norm_every=None,
    ),
    **W12,
)
UNSEEN = 'not seen: heads are those of the rule for other sizes, `logit_scale` shows them'
ONE = (0.0,), (255.0,)
sentinel_2 = partial(
    satlas,
    arguments=dict(in_channels=9),
    channels='RGB, B05, B06, B07, B08, B11, B12',
    normalization=ONE,
    note='the bands after RGB divided by 32 and clipped to 0 to 255 first',
)
landsat = partial(
    satlas,
    arguments=dict(in_channels=11),
    channels='B1 to B11',
    values=(4000, 20320),
    normalization=((4000.0,), (16320.0,)),
    note='clipped to these values first',
)
sentinel_1 = partial(
    satlas,
    arguments=dict(in_channels=2),
    channels='VH, VV',
    normalization=ONE,
    note='clipped to these values first',
)

PUBLISHED = {
    'SwinTransformer': {
        'tiny': {
            '1K': swin(f'{SWIN}/v1.0.0/swin_tiny_patch4_window7_224.pth', 81.2),
            '22K': swin(f'{SWIN}/v1.0.8/swin_tiny_patch4_window7_224_22k.pth'),
            '22K to 1K': swin(
                f'{SWIN}/v1.0.8/swin_tiny_patch4_window7_224_22kto1k_finetune.pth', 80.9
            ),
            '1K torchvision': torchvision(f'{VISION}/swin_t-704ceda3.pth', 81.474),
            'S3': Published(
                'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/s3_t-1d53f6a8.pth',
                arguments=dict(window_size=(7, 7, 14, 7)),
                licence='MIT',
                source='https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/swin_transformer.py',
            ),
            'MoBY': moby(f'{SWIN}/v1.0.3/moby_swin_t_300ep_pretrained.pth', 75.3),
            'EsViT': esvit(
                f'{ESVIT}/swin_tiny/bl_lr0.0005_gpu16_bs32_dense_multicrop_epoch300/checkpoint_best.pth',
                78.0,
            ),
            'EsViT w14': esvit(
                f'{ESVIT}/swin_tiny/bl_lr0.0005_gpu16_bs32_multicrop_epoch300_dino_aug_window14/continued_from0200_dense/checkpoint_best.pth',
                78.7,
                arguments=dict(window_size=14),
            ),
            'aerial RSP': Published(
                f'{DRIVE}/1G5wjbjIHepmT6VVOuW03bWmyvrhcfe1F/view',
                licence='MIT',
                source='https://github.com/ViTAE-Transformer/RSP',
                note='MillionAID, with labels',
            ),
        },
        'small': {
            '1K': swin(f'{SWIN}/v1.0.0/swin_small_patch4_window7_224.pth', 83.2),
            '22K': swin(f'{SWIN}/v1.0.8/swin_small_patch4_window7_224_22k.pth'),
            '22K to 1K': swin(
                f'{SWIN}/v1.0.8/swin_small_patch4_window7_224_22kto1k_finetune.pth', 83.2
            ),
            '1K torchvision': torchvision(f'{VISION}/swin_s-5e29d889.pth', 83.196),
            'S3': Published(
                'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/s3_s-3bb4c69d.pth',
                arguments=dict(window_size=(14, 14, 14, 7)),
                licence='MIT',
                source='https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/swin_transformer.py',
            ),
            'EsViT': esvit(
                f'{ESVIT}/swin_small/bl_lr0.0005_gpu16_bs32_dense_multicrop_epoch300/checkpoint_best.pth',
                79.5,
            ),
            'EsViT w14': esvit(
                f'{ESVIT}/swin_small/bl_lr0.0005_gpu16_bs16_multicrop_epoch300_dino_aug_window14/continued_from0180_dense/checkpoint_best.pth',
                80.8,
                arguments=dict(window_size=14),
            ),
        },
        'base': {
            '1K': swin(f'{SWIN}/v1.0.0/swin_base_patch4_window7_224.pth', 83.5),
            '1K 384': swin(
                f'{SWIN}/v1.0.0/swin_base_patch4_window12_384.pth',
                84.5,
                size=384,
                arguments=dict(window_size=12),
            ),
            '22K': swin(f'{SWIN}/v1.0.0/swin_base_patch4_window7_224_22k.pth'),
            '22K 384': swin(
                f'{SWIN}/v1.0.0/swin_base_patch4_window12_384_22k.pth',
                size=384,
                arguments=dict(window_size=12),
            ),
            '22K to 1K': swin(f'{SWIN}/v1.0.0/swin_base_patch4_window7_224_22kto1k.pth', 85.2),
            '22K to 1K 384': swin(
                f'{SWIN}/v1.0.0/swin_base_patch4_window12_384_22kto1k.pth',
                86.4,
                size=384,
                arguments=dict(window_size=12),
            ),
            '1K torchvision': torchvision(f'{VISION}/swin_b-68c6b09e.pth', 83.582),
            'SimMIM': simmim(
                f'{DRIVE}/15zENvGjHlM71uKQ3d2FbljWPubtrPtjl/view',
                84.0,
                arguments=dict(window_size=6),
            ),
            'SimMIM mmpretrain': mmpretrain(
                f'{SELFSUP}/simmim_swin-base_16xb128-amp-coslr-800e_in1k-192/simmim_swin-base_16xb128-amp-coslr-800e_in1k-192_20220916-a0e931ac.pth',
                83.8,
                arguments=dict(window_size=6),
            ),
            'GreenMIM': greenmim(f'{DRIVE}/1vCt7QN3rNC7hmWlWYomqfhjUqN-PvR7a/view'),
            'GreenMIM w14': greenmim(
                f'{DRIVE}/1P1dAdcZtSEGWFQy5GeeJdfGTqesSAES9/view', arguments=dict(window_size=14)
            ),
            'EsViT': esvit(
                f'{ESVIT}/swin_base/bl_lr0.0005_gpu16_bs32_multicrop_epoch300_dino_aug/continued_from0200_dense/checkpoint_best.pth',
                80.4,
            ),
            'EsViT w14': esvit(
                f'{ESVIT}/swin_base/bl_lr0.0005_nodes4_gpu16_bs8_multicrop_epoch300_dino_aug_window14_lv/continued_from_epoch0200_dense_norm_true/checkpoint_best.pth',
                81.3,
                arguments=dict(window_size=14),
            ),
            'aerial CMID': Published(
                'https://box.nju.edu.cn/f/82a3c7ca7bfc4887aef8/?dl=1',
                normalization=((86.182, 91.928, 85.374), (34.655, 34.476, 35.879)),
                licence='none; "strictly forbidden for any commercial purpose"',
                source='https://github.com/NJU-LHRS/official-CMID',
                note='MillionAID, without labels',
            ),
            'aerial GFM': Published(
                'https://1drv.ms/f/s!AkTn76m907OThpRJjH8ehfskbgCLXw',
                size=192,
                arguments=dict(window_size=6),
                licence='Apache-2.0',
                source='https://github.com/mmendiet/GFM',
                note='a folder; 22K, then GeoPile without labels',
            ),
        },
        'large': {
            '22K': swin(f'{SWIN}/v1.0.0/swin_large_patch4_window7_224_22k.pth'),
            '22K 384': swin(
                f'{SWIN}/v1.0.0/swin_large_patch4_window12_384_22k.pth',
                size=384,
                arguments=dict(window_size=12),
            ),
            '22K to 1K': swin(f'{SWIN}/v1.0.0/swin_large_patch4_window7_224_22kto1k.pth', 86.3),
            '22K to 1K 384': swin(
                f'{SWIN}/v1.0.0/swin_large_patch4_window12_384_22kto1k.pth',
                87.3,
                size=384,
                arguments=dict(window_size=12),
            ),
            'SimMIM': simmim(
                f'{DRIVE}/1qDxrTl2YUDB0505_4QrU5LU2R1kKmcBP/view',
                85.4,
                arguments=dict(window_size=12),
            ),
            'SimMIM mmpretrain': mmpretrain(
                f'{SELFSUP}/simmim_swin-large_16xb128-amp-coslr-800e_in1k-192/simmim_swin-large_16xb128-amp-coslr-800e_in1k-192_20220916-4ad216d3.pth',
                84.8,
                arguments=dict(window_size=12),
            ),
            'GreenMIM w14': greenmim(
                f'{DRIVE}/1Tw1KeGviVWxbVt3h1TT7BxTX1aLeT-Nm/view', arguments=dict(window_size=14)
            ),
        },
    },
    'SwinTransformerV2': {
        'tiny': {
            'w8': swin(f'{SWIN}/v2.0.0/swinv2_tiny_patch4_window8_256.pth', 81.8, size=256),
            'w16': swin(
                f'{SWIN}/v2.0.0/swinv2_tiny_patch4_window16_256.pth', 82.8, size=256, arguments=W16
            ),
            'w8 torchvision': torchvision(f'{VISION}/swin_v2_t-b137f0e2.pth', 82.072, size=256),
            'Sentinel-2 RGB': satlas(f'{SATLAS}/sentinel2_swint_si_rgb.pth'),
            'Sentinel-2 RGB, several': satlas(f'{SATLAS}/sentinel2_swint_mi_rgb.pth'),
            'Sentinel-2': sentinel_2(f'{SATLAS}/sentinel2_swint_si_ms.pth'),
            'Sentinel-2, several': sentinel_2(f'{SATLAS}/sentinel2_swint_mi_ms.pth'),
        },
        'small': {
            'w8': swin(f'{SWIN}/v2.0.0/swinv2_small_patch4_window8_256.pth', 83.7, size=256),
            'w16': swin(
                f'{SWIN}/v2.0.0/swinv2_small_patch4_window16_256.pth', 84.1, size=256, arguments=W16
            ),
            'w8 torchvision': torchvision(f'{VISION}/swin_v2_s-637d8ceb.pth', 83.712, size=256),
            'SimMIM': simmim(f'{SIMMIM}/swinv2_small_1k_500k.pth', 84.08, arguments=W12),
        },
        'base': {
            'w8': swin(f'{SWIN}/v2.0.0/swinv2_base_patch4_window8_256.pth', 84.2, size=256),
            'w16': swin(
                f'{SWIN}/v2.0.0/swinv2_base_patch4_window16_256.pth', 84.6, size=256, arguments=W16
            ),
            '22K w12': swin(
                f'{SWIN}/v2.0.0/swinv2_base_patch4_window12_192_22k.pth', size=192, arguments=W12
            ),
            '22K to 1K w16': swin(
                f'{SWIN}/v2.0.0/swinv2_base_patch4_window12to16_192to256_22kto1k_ft.pth',
                86.2,
                size=256,
                arguments=W12_TO_16,
            ),
            '22K to 1K w24': swin(
                f'{SWIN}/v2.0.0/swinv2_base_patch4_window12to24_192to384_22kto1k_ft.pth',
                87.1,
                size=384,
                arguments=W12_TO_24,
            ),
            'w8 torchvision': torchvision(f'{VISION}/swin_v2_b-781e5279.pth', 84.112, size=256),
            'SimMIM': simmim(f'{SIMMIM}/swinv2_base_1k_500k.pth', 85.04, arguments=W12),
            'SimMIM 22K': simmim(f'{SIMMIM}/swinv2_base_22k_500k.pth', 85.11, arguments=W12),
            'aerial': satlas(f'{SATLAS}/aerial_swinb_si.pth'),
            'aerial, several': satlas(f'{SATLAS}/aerial_swinb_mi.pth'),
            'Sentinel-2 RGB': satlas(f'{SATLAS}/sentinel2_swinb_si_rgb.pth'),
            'Sentinel-2 RGB, several': satlas(f'{SATLAS}/sentinel2_swinb_mi_rgb.pth'),
            'Sentinel-2': sentinel_2(f'{SATLAS}/sentinel2_swinb_si_ms.pth'),
            'Sentinel-2, several': sentinel_2(f'{SATLAS}/sentinel2_swinb_mi_ms.pth'),
            'Landsat': landsat(f'{SATLAS}/landsat_swinb_si.pth'),
            'Landsat, several': landsat(f'{SATLAS}/landsat_swinb_mi.pth'),
            'Sentinel-1': sentinel_1(f'{SATLAS}/sentinel1_swinb_si.pth'),
            'Sentinel-1, several': sentinel_1(f'{SATLAS}/sentinel1_swinb_mi.pth'),
        },
        'large': {
            '22K w12': swin(
                f'{SWIN}/v2.0.0/swinv2_large_patch4_window12_192_22k.pth', size=192, arguments=W12
            ),
            '22K to 1K w16': swin(
                f'{SWIN}/v2.0.0/swinv2_large_patch4_window12to16_192to256_22kto1k_ft.pth',
                86.9,
                size=256,
                arguments=W12_TO_16,
            ),
            '22K to 1K w24': swin(
                f'{SWIN}/v2.0.0/swinv2_large_patch4_window12to24_192to384_22kto1k_ft.pth',
                87.6,
                size=384,
                arguments=W12_TO_24,
            ),
            'SimMIM': simmim(f'{SIMMIM}/swinv2_large_1k_500k.pth', 85.91, arguments=W12),
            'SimMIM 22K': simmim(f'{SIMMIM}/swinv2_large_22k_500k.pth', 85.81, arguments=W12),
        },
        'huge': {
            'SimMIM': simmim(
                f'{SIMMIM}/swinv2_huge_1k_500k.pth', 86.34, arguments=SIMMIM_HUGE, note=UNSEEN
            ),
            'SimMIM 22K': simmim(
                f'{SIMMIM}/swinv2_huge_22k_500k.pth', 86.27, arguments=SIMMIM_HUGE, note=UNSEEN
            ),
        },
    },
    'MaxViT': {
        'tiny': {
            '1K': maxvit(f'{TIMM}/maxvit_tiny_tf_224.in1k/{SAFE}', 83.62, normalization=IMAGENET),
            '1K 384': maxvit(
                f'{TIMM}/maxvit_tiny_tf_384.in1k/{SAFE}',
                85.24,
                size=384,
                arguments=dict(window_size=12),
            ),
            '1K 512': maxvit(
                f'{TIMM}/maxvit_tiny_tf_512.in1k/{SAFE}',
                85.72,
                size=512,
                arguments=dict(window_size=16),
            ),
        },
        'small': {
            '1K': maxvit(f'{TIMM}/maxvit_small_tf_224.in1k/{SAFE}', 84.45, normalization=IMAGENET),
            '1K 384': maxvit(
                f'{TIMM}/maxvit_small_tf_384.in1k/{SAFE}',
                85.74,
                size=384,
                arguments=dict(window_size=12),
            ),
            '1K 512': maxvit(
                f'{TIMM}/maxvit_small_tf_512.in1k/{SAFE}',
                86.19,
                size=512,
                arguments=dict(window_size=16),
            ),
        },
        'base': {
            '1K': maxvit(f'{TIMM}/maxvit_base_tf_224.in1k/{SAFE}', 84.95, normalization=IMAGENET),
            '1K 384': maxvit(
                f'{TIMM}/maxvit_base_tf_384.in1k/{SAFE}',
                86.34,
                size=384,
                arguments=dict(window_size=12),
            ),
            '1K 512': maxvit(
                f'{TIMM}/maxvit_base_tf_512.in1k/{SAFE}',
                86.66,
                size=512,
                arguments=dict(window_size=16),
            ),
            '21K': maxvit(f'{TIMM}/maxvit_base_tf_224.in21k/{SAFE}'),
            '21K to 1K 384': maxvit(
                f'{TIMM}/maxvit_base_tf_384.in21k_ft_in1k/{SAFE}',
                size=384,
                arguments=dict(window_size=12),
            ),
            '21K to 1K 512': maxvit(
                f'{TIMM}/maxvit_base_tf_512.in21k_ft_in1k/{SAFE}',
                size=512,
                arguments=dict(window_size=16),
            ),
        },
        'large': {
            '1K': maxvit(f'{TIMM}/maxvit_large_tf_224.in1k/{SAFE}', 85.17, normalization=IMAGENET),
            '1K 384': maxvit(
                f'{TIMM}/maxvit_large_tf_384.in1k/{SAFE}',
                86.4,
                size=384,
                arguments=dict(window_size=12),
            ),
            '1K 512': maxvit(
                f'{TIMM}/maxvit_large_tf_512.in1k/{SAFE}',
                86.7,
                size=512,
                arguments=dict(window_size=16),
            ),
            '21K': maxvit(f'{TIMM}/maxvit_large_tf_224.in21k/{SAFE}'),
            '21K to 1K 384': maxvit(
                f'{TIMM}/maxvit_large_tf_384.in21k_ft_in1k/{SAFE}',
                size=384,
                arguments=dict(window_size=12),
            ),
            '21K to 1K 512': maxvit(
                f'{TIMM}/maxvit_large_tf_512.in21k_ft_in1k/{SAFE}',
                size=512,
                arguments=dict(window_size=16),
            ),
        },
        'xlarge': {
            '21K': maxvit(f'{TIMM}/maxvit_xlarge_tf_224.in21k/{SAFE}'),
            '21K to 1K 384': maxvit(
                f'{TIMM}/maxvit_xlarge_tf_384.in21k_ft_in1k/{SAFE}',
                size=384,
                arguments=dict(window_size=12),
            ),
            '21K to 1K 512': maxvit(
                f'{TIMM}/maxvit_xlarge_tf_512.in21k_ft_in1k/{SAFE}',
                size=512,
                arguments=dict(window_size=16),
            ),
        },
        'tiny_tv': {
            '1K torchvision': Published(
                f'{VISION}/maxvit_t-bc5ab103.pth',
                83.7,
                licence='BSD-3-Clause',
                source='https://github.com/pytorch/vision/blob/main/torchvision/models/maxvit.py',
            )
        },
    },
    'DaViT': {
        'tiny': {'1K': davit(f'{TIMM}/davit_tiny.msft_in1k/{SAFE}', 82.8)},
        'small': {'1K': davit(f'{TIMM}/davit_small.msft_in1k/{SAFE}', 84.2)},
        'base': {'1K': davit(f'{TIMM}/davit_base.msft_in1k/{SAFE}', 84.6)},
        'base_fl': {
            'Florence-2': florence(f'{FLORENCE}-base/{BIN}'),
            'Florence-2 fine-tuned': florence(f'{FLORENCE}-base-ft/{BIN}'),
        },
        'huge_fl': {
            'Florence-2': florence(f'{FLORENCE}-large/{BIN}'),
            'Florence-2 fine-tuned': florence(f'{FLORENCE}-large-ft/{BIN}'),
        },
    },
    'VOLO': {
        'd1': {
            '1K': volo(f'{VOLO}/d1_224_84.2.pth.tar', 84.2),
            '384': volo(
                f'{VOLO}/d1_384_85.2.pth.tar', 85.2, size=384, arguments=dict(pretrain_size=384)
            ),
        },
        'd2': {
            '1K': volo(f'{VOLO}/d2_224_85.2.pth.tar', 85.2),
            '384': volo(
                f'{VOLO}/d2_384_86.0.pth.tar', 86.0, size=384, arguments=dict(pretrain_size=384)
            ),
        },
        'd3': {
            '1K': volo(f'{VOLO}/d3_224_85.4.pth.tar', 85.4),
            '448': volo(
                f'{VOLO}/d3_448_86.3.pth.tar', 86.3, size=448, arguments=dict(pretrain_size=448)
            ),
        },
        'd4': {
            '1K': volo(f'{VOLO}/d4_224_85.7.pth.tar', 85.7),
            '448': volo(
                f'{VOLO}/d4_448_86.79.pth.tar', 86.8, size=448, arguments=dict(pretrain_size=448)
            ),
        },
        'd5': {
            '1K': volo(f'{VOLO}/d5_224_86.10.pth.tar', 86.1),
            '448': volo(
                f'{VOLO}/d5_448_87.0.pth.tar', 87.0, size=448, arguments=dict(pretrain_size=448)
            ),
            '512': volo(
                f'{VOLO}/d5_512_87.07.pth.tar', 87.1, size=512, arguments=dict(pretrain_size=512)
            ),
        },
    },
    'Container': {
        'light': {
            '1K': Published(
                f'{DRIVE}/1WMOWoxTX7AQDCbfMYh7naqIHube3K85A/view',
                82.3,
                licence='MIT',
                source='https://github.com/allenai/container',
            )
        },
    },
}


def every_published():
    """Each published file as `Known`."""
    for name, archs in PUBLISHED.items():
        for arch, files in archs.items():
            for label, weights in files.items():
                yield Known(name, arch, label, weights)


def find_weights(checkpoint: str) -> Known | None:
    """The published file that a URL or a path is, by its address or a name that only it has.

    Many files have a name such as model.safetensors; one of these on disk is not known.
    """
    by_url = {plain(known.weights.url): known for known in every_published()}
    if found := by_url.get(plain(checkpoint)):
        return found
    names = Counter(map(file_name, by_url))
    by_name = {file_name(url): known for url, known in by_url.items()}
    name = file_name(checkpoint)
    return by_name[name] if names[name] == 1 and '.' in name else None


def plain(url: str) -> str:
    """An address without its query."""
    return url.partition('?')[0].rstrip('/')


def file_name(url: str) -> str:
    """The last part of an address or a path."""
    return PurePosixPath(plain(url).replace('\\', '/')).name
