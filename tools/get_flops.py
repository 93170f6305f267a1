"""Parameters and FLOPs of a config's model by its parts, or of all sizes of a backbone.

As in the papers, a FLOP is a multiplication with its addition, of convolutions and matrix products,
attention included. PyTorch's own counter watches a real forward pass; that of a backbone alone
runs on the meta device, without memory or arithmetic. Maps are padded to whole windows first, as in
the official code, and what layers do to padding counts. Detectors of two stages have as many boxes
as equal scores leave.
"""

from pathlib import Path

import torch
from lib.arguments import add_cfg_options, build_backbone, is_backbone, read_mm_config
from lib.flops import build, count, count_dense, parameters
from lib.process import prepare_process
from lib.usage import UsageError, make_parser, run_tool

from mmbackbones.registry import MODELS

RULE = 30 * '='
SHAPES = ((800, 1280), (512, 2048))  # the detectors' and the segmenters' in the literature


def show_backbone(name, shapes, options):
    """One line per published size."""
    with torch.device('meta'):
        archs = MODELS.get(name).archs
        nets = [build_backbone(name, arch=arch, options=options) for arch in archs]
        images = [torch.empty(1, 3, *shape) for shape in shapes]
    columns = ''.join(f'{f"{height} x {width}":>14}' for height, width in shapes)
    print(f'{"arch":8} {"parameters":>13}{columns}')
    for arch, net in zip(archs, nets, strict=True):
        flops = [count(net, image)['Global'] for image in images]
        print(f'{arch:8} {parameters(net):13,}' + ''.join(f'{f / 1e9:13.1f}G' for f in flops))


def show_config(path, cfg, shapes):
    """One line per part of the model, for every shape, and the summary that mmdet prints."""
    model = build(cfg)
    for shape in shapes:
        flops = count_dense(model, cfg.default_scope, shape)
        print(f'{Path(path).stem} at {shape[0]} x {shape[1]}')
        for name, part, number in by_part(model, flops):
            print(f'  {name:16} {parameters(part):13,} parameters {number / 1e9:9.1f}G')
        summary = f'Flops: {flops["Global"] / 1e9:.1f}G\nParams: {parameters(model) / 1e6:.3f}M'
        print(f'{RULE}\nInput shape: {shape}\n{summary}\n{RULE}')


def by_part(model, flops):
    """(name, module, FLOPs) of the parts of a model and of the whole.

    The counter sees what is in a head but not a head whose `forward` is called by that name: it
    gets what remains. An auxiliary head has no part in testing.
    """
    own, known = type(model).__name__, {}
    for name in (name for name, part in model.named_children() if parameters(part)):
        ran = any(key.startswith(f'{own}.{name}') for key in flops)
        known[name] = flops.get(f'{own}.{name}', None if ran else 0)
    rest = flops['Global'] - sum(number or 0 for number in known.values())
    for name, number in known.items():
        yield name, getattr(model, name), rest if number is None else number
    yield 'whole', model, flops['Global']


def command_line():
    """The parser of the arguments."""
    parser = make_parser(
        __doc__,
        epilog='examples: python tools/get_flops.py MaxViT\n'
        '          python tools/get_flops.py configs/mask_rcnn_swin_t.py --shape 800 1280',
    )
    parser.add_argument('model', help='a config file, or the name of a backbone')
    text = 'height and width of the image, or the side of a square'
    parser.add_argument('--shape', nargs='+', type=int, metavar='SIDE', help=text)
    add_cfg_options(parser, 'arguments of the backbone, or settings of the config, to override')
    return parser


def show(args):
    """Show the counts of a backbone or of the model of a config."""
    if args.shape and (len(args.shape) > 2 or min(args.shape) < 1):
        raise UsageError(f'--shape is {args.shape}; give height and width, or one side')
    shapes = ((args.shape[0], args.shape[-1]),) if args.shape else SHAPES
    if is_backbone(args.model):
        show_backbone(args.model, shapes, args.cfg_options)
    else:
        cfg = read_mm_config(args.model, args.cfg_options)
        show_config(args.model, cfg, shapes)


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, show)


if __name__ == '__main__':
    main()
