"""Looks things up from a shell: python -m mmbackbones list | info | path | operators | doctor."""

import argparse
import inspect
import sys

import torch
from rich.console import Console, JustifyMethod
from rich.table import Table

from . import __version__, operators
from .backbone import Backbone
from .doctor import examine
from .paths import configs_of, path_of
from .registry import MODELS
from .weights.published import PUBLISHED, every_published
from .weights.published_dense import COPIES, LICENCES, REPORTED, SAME_MODEL, SOURCES, Report

STYLES = {'ok': 'green', 'note': 'yellow', 'BAD': 'bold red'}

DETECTORS = """\
Detectors and segmenters that others published, with the results that they report; they were not
reproduced here. Files for our configs are fetched by `tools/test.py CONFIG published` and
`tools/image_demo.py IMAGE CONFIG`. A config of mmdet or mmseg becomes ours by
`tools/convert_config.py CONFIG OUT`, and then takes the URL as its checkpoint; what follows
`with` are --cfg-options, and `for` names other classes than the config has."""


def say(text='', **style):
    """Print a text; its lines stay whole, so that addresses and commands can be copied."""
    Console(highlight=False, markup=False).print(text, soft_wrap=True, **style)


def show_table(rows, **widths):
    """Print rows of text; a column is at least so wide, and what is too wide for it is folded."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, width in widths.items():
        justify: JustifyMethod = 'right' if name == 'parameters' else 'left'
        table.add_column(name, justify=justify, min_width=width, overflow='fold')
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def sizes(backbone):
    """(arch, net) for each published size, without weights."""
    for arch in backbone.archs:
        with torch.device('meta'):
            net = backbone(arch)
        yield arch, net


def describe(name):
    """(arch, parameters, channels) of each published size, as text."""
    for arch, net in sizes(MODELS.get(name)):
        count = sum(p.numel() for p in net.parameters())
        yield arch, f'{count:,}', ' '.join(map(str, net.out_channels))


def weights_of(name, arch):
    """(label, top-1, URL) of the published weights of a size, as text."""
    for label, known in PUBLISHED.get(name, {}).get(arch, {}).items():
        yield label, known.figure, known.url


def summary(known):
    """The first published file of a size, and how many others there are."""
    if not known:
        return 'none published'
    (label, top1, _), *others = known
    return f'{label} {top1}'.strip() + (f', {len(others)} more' if others else '')


def show_list(detectors=False):
    """A table of the sizes of every class, or the whole models that others published."""
    if detectors:
        show_detectors()
        return
    strides = ' '.join(map(str, Backbone.strides))
    say(f"mmbackbones {__version__}: use type='mmbackbones.NAME', arch='ARCH' in a config.")
    say(f"Channels at strides {strides}; weights with their authors' ImageNet-1K top-1.")
    for name in MODELS.module_dict:
        configs, rows = configs_of(name), []
        for arch, count, channels in describe(name):
            known = summary(list(weights_of(name, arch)))
            rows.append((arch, count, channels, known, str(len(configs[arch]))))
        say(f'\n{name}', style='bold')
        show_table(rows, arch=7, parameters=13, channels=18, weights=27, configs=0)


def show_detectors():
    """The whole detectors and segmenters that others published: config, results, URL."""
    say(DETECTORS)
    ours = {theirs: name for name, theirs in SAME_MODEL.items()}
    for whose, rows in REPORTED.items():
        has_files = any(url for _, url in rows.values())
        licence = LICENCES.get(whose, 'Apache-2.0') if has_files else 'no files'
        say(f'\n{whose} ({licence}), {SOURCES[whose]}', style='bold')
        for config, row in rows.items():
            report = Report(whose, *row)
            say(f'{config}: {report.figures}')
            if config in ours:
                say(f'    here: {ours[config]}')
            if report.url:
                say(f'    {report.url}')
            for copy in (name for name, place in COPIES.items() if place == (whose, config)):
                say(f'    at Hugging Face: {copy}')


def show_info(name, neck=False, weights=None):
    """What a class is, its arguments, the checkpoint formats it reads, sizes, weights, configs."""
    backbone = MODELS.module_dict.get(name)  # none of the scope above
    if backbone is None:
        sys.exit(f'there is no backbone {name}; choose from {", ".join(MODELS.module_dict)}')
    if neck:
        print(*necks(backbone), sep='\n')
        return
    if weights is not None:
        show_weights(name, weights)
        return
    say(inspect.getdoc(backbone))
    say(f'\nCheckpoints: {", ".join(form.name for form in backbone.formats)} and our own.\n')
    strides = ' '.join(map(str, Backbone.strides))
    show_table(
        [(*row, strides) for row in describe(name)], arch=7, parameters=0, channels=0, strides=0
    )
    say('\nWeights, with the ImageNet-1K top-1 that their authors report:', style='bold')
    known = [(arch, *line) for arch in backbone.archs for line in weights_of(name, arch)]
    width = max((len(label) for _, label, *_ in known), default=0)
    wide = max((len(top1) for _, _, top1, _ in known), default=0)
    for arch, label, top1, url in known:
        say(f'{arch:9}{label:{width}}  {top1:{wide}}  {url}')
    say(f'\nLicences, and what they expect of images: python -m mmbackbones info {name} --weights')
    configs = configs_of(name)
    say()
    show_table([(a, ' '.join(configs[a])) for a in backbone.archs if configs[a]], arch=7, configs=0)


def show_weights(name, which):
    """Of each published file, or those of an arch or label: what it is, and lines for a config."""
    known = [each for each in every_published() if each.name == name]
    found = [each for each in known if which in ('', each.arch, each.label)]
    if not found:
        names = dict.fromkeys([*(each.arch for each in known), *(each.label for each in known)])
        sys.exit(f'{name} has no published weights {which}; choose from {", ".join(names)}')
    for _, arch, label, weights in found:
        say(f'{arch} {label}: {weights.url}', style='bold')
        say(f'    {"; ".join(facts(weights))}')
        say(f'    {weights.source}')
        settings = dict(type=f'mmbackbones.{name}', arch=arch) | weights.arguments
        say(f'    backbone={as_code(settings)},')
        say(f'    data_preprocessor={as_code(weights.preprocessor)},')


def as_code(settings):
    """Settings as a config writes them."""
    parts = (
        f'{key}={as_code(value) if isinstance(value, dict) else repr(value)}'
        for key, value in settings.items()
    )
    return f'dict({", ".join(parts)})'


def facts(weights):
    """What a published file is, in parts of a sentence."""
    low, high = weights.input_range
    if weights.top1:
        yield f'ImageNet-1K top-1 {weights.figure}'
    yield f'trained at {weights.size} pixels'
    values = ' to '.join(map(str, weights.values))
    yield f'{weights.channels}, {values} made {low:.4g} to {high:.4g}'
    yield f'licence {weights.licence}'
    if weights.note:
        yield weights.note
    if not weights.is_direct:
        yield 'download it with a browser'


def necks(backbone):
    """What goes behind each size in a config."""
    for arch, net in sizes(backbone):
        yield f"neck=dict(in_channels={list(net.out_channels)}),  # backbone=dict(arch='{arch}')"


def show_path(name):
    """Where a config or tool lies, for the command line of another program."""
    try:
        print(path_of(name))
    except FileNotFoundError as error:
        sys.exit(str(error))


def show_operators(install=False, remove=False):
    """Which operators mmcv uses; or put a file that offers ours into its folder, or remove it."""
    try:
        if install:
            say(f'wrote {operators.install()}')
        elif remove:
            file = operators.remove()
            say(f'removed {file}' if file else 'there is no file of ours in the folder of mmcv')
        say(f'mmcv uses {operators.state()}')
    except OSError as error:
        sys.exit(str(error))


def show_doctor():
    """Each finding, and for each problem what to do; the exit status is 1 if there is one."""
    states = []
    for state, text, cure in examine():
        say(f'{state:5}{text}', style=STYLES[state])
        states.append(state)
        if state != 'ok':
            say(f'     -> {cure}')
    sys.exit(1 if 'BAD' in states else 0)


def main(arguments=None):
    """Run a subcommand."""
    example = 'example: python -m mmbackbones info SwinTransformer'
    parser = argparse.ArgumentParser('python -m mmbackbones', description=__doc__, epilog=example)
    commands = parser.add_subparsers(dest='command', required=True)
    sizes = commands.add_parser('list', help='every backbone and size')
    sizes.add_argument(
        '--detectors', action='store_true', help='whole detectors and segmenters of others instead'
    )
    sizes.set_defaults(run=show_list)
    commands.add_parser('doctor', help='is the environment whole?').set_defaults(run=show_doctor)
    info = commands.add_parser('info', help='one backbone in full', epilog=example)
    info.add_argument('name', help='for example SwinTransformer')
    info.add_argument('--neck', action='store_true', help="only the neck's lines for a config")
    info.add_argument(
        '--weights',
        nargs='?',
        const='',
        metavar='ARCH or LABEL',
        help='only the published files: licence, normalisation, lines for a config',
    )
    info.set_defaults(run=show_info)
    path = commands.add_parser('path', help='where a config, a backbone of configs or a tool lies')
    path.add_argument('name', help='for example mask_rcnn_swin_t, or train for tools/train.py')
    path.set_defaults(run=show_path)
    text = "which operators mmcv uses: compiled ones, or mmbackbones' in plain PyTorch"
    choice = commands.add_parser('operators', help=text)
    choice.set_defaults(run=show_operators)
    action = choice.add_mutually_exclusive_group()
    text = 'write a file into the folder of mmcv, so that it finds ours whatever is imported first'
    action.add_argument('--install', action='store_true', help=text)
    action.add_argument('--remove', action='store_true', help='remove that file')
    values = vars(parser.parse_args(arguments))
    values.pop('command')
    values.pop('run')(**values)


if __name__ == '__main__':
    main()
