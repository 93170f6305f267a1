"""One row per registered backbone, with what the tests must know of it, and helpers for all tests.

A new family needs one row. `gaps` says what is missing, and test_house.py fails with its words.
"""

import inspect
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import strategies as st

from mmbackbones.backbone import Backbone
from mmbackbones.registry import MODELS


@dataclass(frozen=True)
class Family:
    """What the tests know of one registered class. A `count` is an exact number of parameters."""

    file: str  # of mmbackbones/models, and the backbone's name in configs/ and .mim/metafiles/
    title: str  # of the paper's network, as the metafile calls it
    paper: str
    url: str
    tiny: dict  # the arguments of a small net
    first: dict  # the arguments of a smaller one for exporters, of a stage or two
    options: dict  # {argument of its own: strategy that draws values}
    recordings: dict  # {file of tests/data: (format, arch, arguments)}
    activations: int = 0  # bytes that the tiny net saves for backward, of two images of 224 x 224
    attends: tuple = ()  # (how many tokens, stage) for each mixer that `tools/visualize.py` shows
    counts: dict = field(default_factory=dict)  # {(arch, window_size): count}
    trunks: dict = field(default_factory=dict)  # {arch: count}, without what makes a pyramid of it
    millions: dict = field(default_factory=dict)  # {arch: count}, published to a tenth of a million
    uncounted: tuple = ()  # archs without a published count
    # Formats of weights without a recording: {format: (file of tests/data, function that renames)}
    other_formats: dict = field(default_factory=dict)
    flops: tuple = ()  # ((arch, arguments, side of the image, G), ...) as the authors report them
    large: dict = field(default_factory=dict)  # changes to the arch of `tiny` for a large image
    layer_norm: float = 1e-5  # their eps
    batch_norm: float | None = None  # their eps
    norms_in_blocks: bool = False  # whether blocks have batch norms
    output_norms: bool = True  # whether returned stages have a norm
    models: dict = field(default_factory=dict)  # {(method, size): count, or rounded millions}
    recipes: dict = field(
        default_factory=dict
    )  # {start of config names: (rate, decay)} unlike Swin
    decays_norms: bool = False  # as its authors do

    @property
    def formats(self):
        """The names of all formats of weights, each of which some test reads."""
        return {form for form, *_ in self.recordings.values()} | set(self.other_formats)


def mmpretrain_classifier(state):
    """A Swin of mmdet as a classifier of mmpretrain: the same names, one norm, a head."""
    state = {f'backbone.{name}': tensor for name, tensor in state.items()}
    head = {'head.fc.weight': torch.zeros(1000, 768), 'head.fc.bias': torch.zeros(1000)}
    others = ('backbone.norm0', 'backbone.norm1', 'backbone.norm2')
    return {name: tensor for name, tensor in state.items() if not name.startswith(others)} | head


DIMS, HEADS = (16, 32, 64, 128), (1, 2, 4, 8)
FOUR = dict(dims=DIMS, depths=(2, 2, 2, 2))
# For exporters a first stage with all that a graph can get wrong: tracing with symbols is slow.
NARROW, FEW, ONE = (16, 16, 16, 16), (1, 1, 2, 2), (1, 1, 1, 1)
FIRST = dict(out_indices=(0,))
WINDOWS = st.integers(2, 9)
PRETRAINED = st.none() | WINDOWS
FLORENCE = dict(dims=(16, 32, 48, 64), depths=(1, 1, 2, 1), heads=(1, 2, 3, 4), parts='florence')

FAMILIES = {
    'SwinTransformer': Family(
        file='swin',
        title='Swin Transformer',
        paper='Swin Transformer: Hierarchical Vision Transformer using Shifted Windows',
        url='https://arxiv.org/abs/2103.14030',
        activations=26_184_032,
        tiny=dict(arch=dict(FOUR, heads=HEADS)),
        first=dict(arch=dict(dims=NARROW, depths=(2, 1, 1, 1), heads=FEW), **FIRST),
        options=dict(window_size=st.integers(1, 9) | st.tuples(*[st.integers(1, 9)] * 4)),
        recordings={
            'swin_tiny_cls': ('official', 'tiny', {}),
            'swin_tiny_dense': ('official', 'tiny', {}),
            'swin_tiny_mmdet': ('mmdet or mmseg', 'tiny', {}),
            'swin_tiny_timm': ('timm', 'tiny', {}),
            'swin_tiny_torchvision': ('torchvision', 'tiny', {}),
            'swin_tiny_hf': ('Hugging Face', 'tiny', {}),
            'swin_s3_tiny_timm': ('timm', 'tiny', dict(window_size=(7, 7, 14, 7))),
            'swin_base_w12_dense': ('official', 'base', dict(window_size=12)),
        },
        other_formats={'mmpretrain': ('swin_tiny_mmdet', mmpretrain_classifier)},
        attends=((7 * 7, 2), (5 * 7, 2)),  # two rows of the shifted window are padding
        counts={
            ('tiny', 7): 27_520_698,
            ('small', 7): 48_838_602,
            ('base', 7): 86_745_016,
            ('large', 7): 194_998_164,
            ('tiny', 12): 27_570_378,
            ('small', 12): 48_940_122,
            ('base', 12): 86_880_376,
            ('large', 12): 195_201_204,
        },
        flops=(
            ('tiny', {}, 224, 4.5),
            ('small', {}, 224, 8.7),
            ('base', {}, 224, 15.4),
            ('large', {}, 224, 34.5),
            ('base', dict(window_size=12), 384, 47.1),
        ),
        models={
            ('mask_rcnn', 't'): 47_794_602,
            ('mask_rcnn', 's'): 69_112_506,
            ('mask_rcnn', 'b'): 107_141_800,
            ('mask_rcnn', 'l'): 215_640_708,
            ('retinanet', 't'): 38_458_606,
            ('retinanet', 's'): 59_776_510,
            ('retinanet', 'b'): 98_387_372,
            ('retinanet', 'l'): 208_049_416,
            ('upernet', 't'): 59_941_862,
            ('upernet', 's'): 81_259_766,
            ('upernet', 'b'): 121_279_716,
            ('upernet', 'l'): 233_759_936,
            ('cascade_mask_rcnn', 't'): 86,
            ('cascade_mask_rcnn', 's'): 107,
            ('cascade_mask_rcnn', 'b'): 145,
        },
    ),
    'SwinTransformerV2': Family(
        file='swin_v2',
        title='Swin Transformer V2',
        paper='Swin Transformer V2: Scaling Up Capacity and Resolution',
        url='https://arxiv.org/abs/2111.09883',
        activations=34_700_704,
        tiny=dict(arch=dict(FOUR, heads=HEADS, norm_every=2), window_size=4),
        first=dict(
            arch=dict(dims=NARROW, depths=(2, 1, 1, 1), heads=FEW, norm_every=2),
            window_size=4,
            **FIRST,
        ),
        options=dict(
            window_size=WINDOWS | st.tuples(WINDOWS, WINDOWS, WINDOWS, WINDOWS),
            pretrained_window_size=PRETRAINED,
        ),
        recordings={
            'swinv2_tiny_w8_cls': ('official', 'tiny', {}),
            'swinv2_tiny_w8_timm': ('timm', 'tiny', {}),
            'swinv2_tiny_torchvision': ('torchvision', 'tiny', {}),
            'swinv2_tiny_hf': ('Hugging Face', 'tiny', {}),
            'swinv2_tiny_mmpretrain': ('mmpretrain', 'tiny', {}),
            'swinv2_tiny_w16_cls': (
                'official',
                'tiny',
                dict(window_size=16, pretrained_window_size=(16, 16, 16, 8)),
            ),
            'swinv2_base_w24_cls': (
                'official',
                'base',
                dict(window_size=24, pretrained_window_size=(12, 12, 12, 6)),
            ),
        },
        attends=((4 * 4, 2), (4 * 4, 2)),
        counts={
            ('tiny', 8): 27_579_498,
            ('small', 16): 48_960_762,
            ('base', 24): 86_895_608,
            ('large', 16): 195_205_620,
        },
        millions=dict(huge=655.1, giant=2997.9),
        flops=(
            ('tiny', {}, 256, 5.9),
            ('base', {}, 256, 20.3),
            # At window 16 the map of the last stage is no larger than 8.
            ('tiny', dict(window_size=(16, 16, 16, 8)), 256, 6.6),
            ('base', dict(window_size=(16, 16, 16, 8)), 256, 21.8),
        ),
        models={
            ('mask_rcnn', 't'): 47_853_402,
            ('mask_rcnn', 's'): 69_234_666,
            ('mask_rcnn', 'b'): 107_292_392,
            ('mask_rcnn', 'l'): 215_848_164,
            ('retinanet', 't'): 38_517_406,
            ('retinanet', 's'): 59_898_670,
            ('retinanet', 'b'): 98_537_964,
            ('retinanet', 'l'): 208_256_872,
            ('upernet', 't'): 60_000_662,
            ('upernet', 's'): 81_381_926,
            ('upernet', 'b'): 121_430_308,
            ('upernet', 'l'): 233_967_392,
        },
        recipes={'upernet_swin_v2': (4e-5, 0.05)},
    ),
    'MaxViT': Family(
        file='maxvit',
        title='MaxViT',
        paper='MaxViT: Multi-Axis Vision Transformer',
        url='https://arxiv.org/abs/2204.01697',
        activations=120_260_536,
        tiny=dict(
            arch=dict(dims=(32, 32, 64, 64), depths=(1, 2, 1, 1), stem=16, parts='tensorflow')
        ),
        first=dict(arch=dict(dims=(32,) * 4, depths=ONE, stem=16, parts='tensorflow'), **FIRST),
        options=dict(window_size=st.integers(1, 9), pretrained_window_size=PRETRAINED),
        recordings={
            'maxvit_tiny_224_timm': ('timm', 'tiny', {}),
            'maxvit_tiny_torchvision': ('torchvision', 'tiny_tv', {}),
            'maxvit_tiny_384_timm': ('timm', 'tiny', dict(window_size=12)),
        },
        attends=((7 * 7, 2), (4 * 5, 2)),
        counts={
            ('tiny', 7): 30_139_848,
            ('tiny', 12): 30_200_328,
            ('tiny', 28): 30_619_656,
            ('small', 7): 67_566_828,
            ('small', 28): 68_286_540,
            ('base', 7): 118_106_580,
            ('base', 28): 119_580_276,
            ('large', 7): 209_708_912,
            ('xlarge', 7): 471_051_048,
            ('tiny_tv', 7): 30_139_848 + 4160 - 64,  # a shortcut more, a bias less
        },
        flops=(
            ('tiny', {}, 224, 5.6),
            ('small', {}, 224, 11.7),
            ('large', {}, 224, 43.9),
            ('xlarge', {}, 224, 97.8),
            ('tiny', dict(window_size=12), 384, 17.7),
        ),
        batch_norm=1e-3,
        norms_in_blocks=True,
        output_norms=False,
        recipes={
            'cascade_mask_rcnn_maxvit_t': (1e-3 / 16, 0.05),
            'cascade_mask_rcnn_maxvit': (3e-3 / 16, 0.05),
        },
    ),
    'DaViT': Family(
        file='davit',
        title='DaViT',
        paper='DaViT: Dual Attention Vision Transformers',
        url='https://arxiv.org/abs/2204.03645',
        activations=41_614_224,
        tiny=dict(arch=dict(FOUR, heads=HEADS)),
        first=dict(arch=dict(dims=NARROW, depths=ONE, heads=FEW), **FIRST),
        options=dict(window_size=st.integers(1, 9)),
        recordings={
            'davit_tiny_dense': ('official', 'tiny', {}),
            'davit_tiny_timm': ('timm', 'tiny', {}),
            'davit_tiny_mmpretrain': ('mmpretrain', 'tiny', {}),
            'davit_base_fl_timm': ('timm', 'base_fl', {}),
            'davit_florence_msft': ('Florence-2', FLORENCE, {}),
            'davit_florence_hf': ('Hugging Face', FLORENCE, {}),
        },
        attends=((7 * 7, 2),),
        counts={
            ('tiny', 7): 27_592_512,
            ('small', 7): 48_978_240,
            ('base', 7): 86_931_200,
            ('large', 12): 195_277_440,
            ('base_fl', 12): 90_371_840,
            ('huge_fl', 12): 360_640_000,
        },
        millions=dict(huge=346.9, giant=1403.4),
        flops=(
            ('tiny', {}, 224, 4.5),
            ('small', {}, 224, 8.8),
            ('base', {}, 224, 15.5),
        ),
        models={
            ('mask_rcnn', 't'): 47_866_416,
            ('mask_rcnn', 's'): 69_252_144,
            ('mask_rcnn', 'b'): 107_327_984,
            ('retinanet', 't'): 38_530_420,
            ('retinanet', 's'): 59_916_148,
            ('retinanet', 'b'): 98_573_556,
            ('upernet', 't'): 60_013_676,
            ('upernet', 's'): 81_399_404,
            ('upernet', 'b'): 121_465_900,
        },
        recipes={'upernet_davit_b_florence': (2.4e-4, 0.01)},
        decays_norms=True,
    ),
    'VOLO': Family(
        file='volo',
        title='VOLO',
        paper='VOLO: Vision Outlooker for Visual Recognition',
        url='https://arxiv.org/abs/2106.13112',
        activations=12_290_960,
        tiny=dict(
            arch=dict(dims=(32, 64), depths=(2, 2), heads=(2, 4), mlp_ratio=2, stem=8),
            pretrain_size=64,
        ),
        first=dict(
            arch=dict(dims=(32, 32), depths=(1, 1), heads=(2, 2), mlp_ratio=2, stem=8),
            pretrain_size=64,
        ),
        options=dict(pretrain_size=st.integers(16, 100)),
        recordings={
            'volo_d1_cls': ('official or timm', 'd1', dict(out_indices=(1, 2))),
            'volo_d1_448_cls': (
                'official or timm',
                'd1',
                dict(out_indices=(1, 2), pretrain_size=448),
            ),
        },
        attends=((8 * 10, 2), (3 * 3, 0)),
        trunks=dict(d1=22_904_856, d2=52_398_704, d3=80_045_440, d4=179_610_912, d5=279_744_144),
        batch_norm=1e-5,
    ),
    'Container': Family(
        file='container',
        title='CONTAINER',
        paper='Container: Context Aggregation Network',
        url='https://arxiv.org/abs/2106.01401',
        activations=11_950_648,
        tiny=dict(
            arch=dict(
                dims=DIMS,
                depths=ONE,
                mlp_ratios=(2, 2, 2, 2),
                mixers=('static', 'mixed', 'pam', 'mixed'),
            ),
            pretrain_size=64,
        ),
        first=dict(
            arch=dict(dims=NARROW, depths=ONE, mlp_ratios=(2,) * 4, mixers=('pam', 'mixed') * 2),
            pretrain_size=64,
            **FIRST,
        ),
        options=dict(pretrain_size=st.integers(32, 100)),
        recordings={'container_light_cls': ('official', 'light', {})},
        recipes={'detr_container': (1e-4, 1e-4)},
        attends=((8 * 10, 2), (5 * 5, 0)),
        trunks=dict(light=20_119_619),
        uncounted=('full', 'pam'),
        flops=(('full', {}, 224, 8.1),),
        large=dict(mixers=('static', 'static', 'static', 'mixed')),
        batch_norm=1e-5,
        norms_in_blocks=True,
    ),
}
NAMES = sorted(FAMILIES)
TINY = {name: FAMILIES[name].tiny for name in NAMES}
BY_FILE = {family.file: family for family in FAMILIES.values()}

every_class = pytest.mark.parametrize('name', NAMES)


def gaps(classes, families):
    """A sentence about each class without a row, row without a class, and hole in a row.

    Args:
        classes: {name: class}, those that are registered.
        families: {name: Family}, those that have a row.
    """
    for name in sorted(classes.keys() | families.keys()):
        if name not in families:
            yield f'{name} is registered and has no row in tests/families.py: add one'
        elif name not in classes:
            yield f'{name} has a row in tests/families.py and is not registered'
        else:
            yield from (
                f'the row of {name} in tests/families.py {hole}'
                for hole in holes(classes[name], families[name])
            )


def holes(net, row):
    """What the row of a class lacks."""
    for name in ('file', 'title', 'paper', 'url', 'tiny', 'first', 'recordings', 'activations'):
        if not getattr(row, name):
            yield f'has nothing for {name}'
    counted = {arch for arch, _ in row.counts} | {*row.trunks, *row.millions, *row.uncounted}
    for arch in sorted(net.archs.keys() ^ counted):
        known = arch in net.archs
        yield f'has no count for arch {arch}' if known else f'counts {arch}, which is no arch'
    common = inspect.signature(Backbone.__init__).parameters
    shared = {*common, 'arch', 'in_channels', 'drop_path_rate', 'common'}
    own = inspect.signature(net.__init__).parameters.keys() - shared
    for name in sorted(own ^ row.options.keys()):
        known = name in own
        yield f'draws no {name} in options' if known else f'draws {name}, which it does not take'
    formats = {form.name for form in net.formats}
    for name in sorted(formats ^ row.formats):
        known = name in formats
        yield f'tests no weights of format {name}' if known else f'has unknown weights: {name}'


def build(name, drop_path_rate=0.0, **kwargs):
    """A small one of its kind, with norms and biases that are not at their trivial start."""
    net = MODELS.get(name)(**(TINY[name] | kwargs), drop_path_rate=drop_path_rate)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net


def gradients(net, x):
    """The outputs' gradients in every parameter that trains, {name: gradient}."""
    loss = sum(out.float().square().mean() for out in net(x))
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    return dict(zip(trained, torch.autograd.grad(loss, trained.values()), strict=True))
