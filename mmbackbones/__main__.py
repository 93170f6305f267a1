"""Looks things up from a shell: python -m mmbackbones list | info NAME | path NAME | doctor."""

import argparse
import sys

import torch

from . import __version__
from .doctor import examine
from .paths import path_of
from .registry import MODELS


def sizes(backbone):
    """(arch, net) for each published size, without weights."""
    for arch in backbone.archs:
        with torch.device('meta'):
            net = backbone(arch)
        yield arch, net


def describe(name):
    """One line per published size of a class."""
    for arch, net in sizes(MODELS.get(name)):
        count = sum(p.numel() for p in net.parameters())
        yield f'{arch:8} {count:>13,} parameters, {net.out_channels} at strides {net.out_strides}'


def show_list():
    """One line per class and size."""
    print(f"mmbackbones {__version__}: use type='mmbackbones.NAME', arch='ARCH' in a config")
    for name in MODELS.module_dict:
        for line in describe(name):
            print(f'{name:20} {line}')


def show_info(name, neck=False):
    """What a class is, its arguments, the checkpoint formats it reads, and its sizes."""
    backbone = MODELS.get(name)
    if backbone is None:
        sys.exit(f'there is no backbone {name}; choose from {", ".join(MODELS.module_dict)}')
    if neck:
        print(*necks(backbone), sep='\n')
        return
    print(backbone.__doc__)
    print('Checkpoints:', ', '.join(form.name for form in backbone.formats), 'and our own')
    print(*describe(name), sep='\n')


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


def show_doctor():
    """Each finding, and for each problem what to do; the exit status is 1 if there is one."""
    findings = list(examine())
    for ok, finding, cure in findings:
        print(f'{"ok  " if ok else "BAD "} {finding}' + ('' if ok else f'\n     -> {cure}'))
    sys.exit(not all(ok for ok, _, _ in findings))


def main(arguments=None):
    """Run a subcommand."""
    parser = argparse.ArgumentParser('python -m mmbackbones', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('list', help='every backbone and size').set_defaults(run=show_list)
    commands.add_parser('doctor', help='is the environment whole?').set_defaults(run=show_doctor)
    info = commands.add_parser('info', help='one backbone in full')
    info.add_argument('name', help='for example SwinTransformer')
    info.add_argument('--neck', action='store_true', help="only the neck's lines for a config")
    info.set_defaults(run=show_info)
    path = commands.add_parser('path', help='where a config or tool lies')
    path.add_argument('name', help='for example mask_rcnn_swin_t, or train for tools/train.py')
    path.set_defaults(run=show_path)
    values = vars(parser.parse_args(arguments))
    values.pop('command')
    values.pop('run')(**values)


if __name__ == '__main__':
    main()
