"""Draw what backbones see of an image, side by side: levels, attention, receptive fields.

levels.png       the levels of the pyramid, their three principal components as colours
attention.png    how much one token gathers from each other, in its windows, grids, outlooks
field.png        on which pixels the centre of a level depends, by gradients, on average
"""

import math
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from lib import backbone_views
from lib.arguments import (
    build_backbone,
    check_device,
    check_folder,
    progress,
    read_model_config,
)
from lib.normalization import normalization_of
from lib.process import prepare_process
from lib.usage import UsageError, make_parser, run_tool
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from torch import nn

from mmbackbones.weights.published import IMAGENET, find_weights

FAINT = 1e-5  # of a field's largest gradient: where its colours end
MOST = 640  # pixels of a side, if no --size is given


class Subject(NamedTuple):
    """A backbone with its name, where its weights come from, and the image as it takes it."""

    name: str
    weights: str
    net: nn.Module
    image: torch.Tensor

    @property
    def label(self):
        """Two lines for a picture."""
        return f'{self.name}\n{self.weights}'


def command_line():
    """The parser of the arguments."""
    parser = make_parser(
        __doc__,
        epilog='examples: python tools/visualize.py .github/demo_set.jpg SwinTransformer VOLO\n'
        '          python tools/visualize.py .github/demo_set.jpg configs/mask_rcnn_swin_t.py \\\n'
        '              --weights work_dirs/demo/epoch_3.pth --query 200 90',
    )
    parser.add_argument('image', help='a picture')
    parser.add_argument('models', nargs='+', help='backbones by name, or configs with one')
    text = 'a checkpoint for each model, or `none`'
    parser.add_argument('--weights', nargs='+', metavar='PATH_OR_URL', help=text)
    parser.add_argument('--show', nargs='+', choices=PICTURES, default=PICTURES, help='[all]')
    text = f'resize the image to this [its own size, sides up to {MOST}]'
    parser.add_argument('--size', nargs=2, type=int, metavar=('H', 'W'), help=text)
    text = 'whose attention to show, in pixels of the resized image [the centre]'
    parser.add_argument('--query', nargs=2, type=int, metavar=('X', 'Y'), help=text)
    text = 'shifted images that a field is the average of [8]'
    parser.add_argument('--samples', type=int, default=8, help=text)
    parser.add_argument('--device', default='cpu', help='[cpu]')
    parser.add_argument(
        '--out-dir', type=Path, default='outputs/visualize', help='[outputs/visualize]'
    )
    return parser


def complete(args):
    """Check the arguments, and set the weights of models that have none."""
    args.weights = args.weights or ['none'] * len(args.models)
    if len(args.weights) != len(args.models):
        found = f'{len(args.weights)} --weights for {len(args.models)} models'
        raise UsageError(f'there are {found}; give one for each, or `none`')
    if args.samples < 1 or (args.size and min(args.size) < 1):
        raise UsageError('--samples and --size take numbers from 1 up')
    check_device(args.device)


def read_image(args):
    """The picture (H, W, 3), red first, and the query as fractions of height and width."""
    image = cv2.imread(args.image)
    if image is None:
        raise UsageError(f'{args.image} is no picture that can be read; give a jpg or png file')
    height, width = args.size or image.shape[:2]
    shrink = 1 if args.size else min(1, MOST / max(height, width))
    height, width = max(1, round(height * shrink)), max(1, round(width * shrink))
    x, y = args.query or (width // 2, height // 2)
    if not (0 <= x < width and 0 <= y < height):
        raise UsageError(f'--query {x} {y} is outside the image of {width} x {height} pixels')
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (y / height, x / width)


def subject(model, weights, image, args):
    """A model of the arguments, and the image normalised as it wants it."""
    found = None if weights == 'none' else weights
    net = build_backbone(model, found).to(args.device)
    if Path(model).is_file():
        name, expected = Path(model).stem, normalization_of(read_model_config(model))
        mean, std = expected[:2] if expected else IMAGENET
    else:
        name, known = f'{type(net).__name__} {next(iter(net.archs))}', find_weights(weights)
        mean, std = known.weights.normalization if known else IMAGENET
    image = (torch.from_numpy(image) - torch.tensor(mean)) / torch.tensor(std)
    if net.stem.in_channels != 3:
        raise UsageError(
            f'{model} takes images of {net.stem.in_channels} channels; a picture has 3'
        )
    label = 'random weights' if found is None else Path(weights).name
    return Subject(name, label, net, image.permute(2, 0, 1)[None].float().to(args.device))


def draw_levels(subjects, image, args):
    """A row for each backbone: the image, and the levels of its pyramid as colours."""
    figure, axes = canvas(len(subjects), 1 + max(len(each.net.strides) for each in subjects), image)
    for row, each in zip(axes, progress(subjects, 'levels'), strict=True):
        row[0].imshow(image)
        row[0].set_title(each.label)
        with torch.no_grad():
            levels = each.net(each.image)
        for stride, level in zip(each.net.out_strides, levels, strict=True):
            axis = row[1 + each.net.strides.index(stride)]
            paint(axis, backbone_views.colours(level[0]).cpu(), image, interpolation='nearest')
            axis.set_title('stride {}: {} x {} x {}'.format(stride, *level[0].shape))
    return figure


def draw_attention(subjects, image, args):
    """A row for each backbone: the image with the query, and how much it takes from where."""
    kinds = [backbone_views.mixers(each.net) for each in subjects]
    figure, axes = canvas(len(subjects), 1 + max(map(len, kinds)), image)
    for row, each, found in zip(axes, progress(subjects, 'attention'), kinds, strict=True):
        row[0].imshow(image)
        row[0].plot(args.query[1] * image.shape[1], args.query[0] * image.shape[0], 'r+', ms=14)
        row[0].set_title(each.label)
        for axis, (name, (stage, mixer)) in zip(row[1:], found.items(), strict=False):
            weights = backbone_views.attention(each.net, mixer, each.image, args.query).cpu()
            paint(axis, image.mean(2), image, cmap='gray')
            strength = 0.85 * (weights / weights.max()) ** 0.5
            paint(axis, weights, image, alpha=strength, cmap='inferno')
            mark_token(axis, weights.shape, image, args.query)
            axis.set_title(f'stage {stage + 1}\n{name}')
    return figure


def draw_field(subjects, image, args):
    """A map for each backbone, all of one scale of lengths and of colours."""
    columns = min(3, len(subjects))
    figure, axes = canvas(math.ceil(len(subjects) / columns), columns, image)
    random = torch.Generator().manual_seed(0)
    shifts = [torch.rand(2, generator=random) for _ in range(args.samples)]
    for each, axis in zip(progress(subjects, 'fields'), axes.flat, strict=False):
        sides = torch.tensor(each.image.shape[2:])
        moves = [(shift * sides).int().tolist() for shift in shifts]
        field = backbone_views.receptive_field(
            each.net, [each.image[0].roll(move, (1, 2)) for move in moves]
        ).cpu()
        norm = LogNorm(FAINT, 1, clip=True)
        drawn = paint(axis, field.clamp(min=FAINT), image, norm=norm, cmap='magma')
        held = backbone_views.spread(field, each.net.out_strides[-1])
        axis.set_title(f'{each.label}\n95 % within {held:.0f} x {held:.0f} pixels')
    figure.colorbar(drawn, ax=axes, label='gradient, the largest = 1')
    return figure


PICTURES = {'levels': draw_levels, 'attention': draw_attention, 'field': draw_field}


def canvas(rows, columns, image):
    """A figure of blank panels in the image's proportions."""
    height, width = image.shape[:2]
    panel = np.array([width, height]) * 3.2 / max(width, height)
    size = columns * max(panel[0], 2.9), rows * (panel[1] + 0.7)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout='constrained')
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def paint(axis, values, image, **how):
    """Draw (h, w) or (h, w, 3) over the extent of the image."""
    height, width = image.shape[:2]
    return axis.imshow(values, extent=(0, width, height, 0), **how)


def mark_token(axis, grid, image, query):
    """A frame around the token of a query."""
    height, width = (side / count for side, count in zip(image.shape[:2], grid, strict=True))
    y, x = (int(at * count) for at, count in zip(query, grid, strict=True))
    frame = Rectangle((x * width, y * height), width, height, fill=False, edgecolor='red')
    axis.add_patch(frame)


def visualize(args):
    """Draw the pictures."""
    matplotlib.use('Agg')
    matplotlib.rcParams.update({'axes.titlesize': 10, 'text.parse_math': False})
    complete(args)
    image, args.query = read_image(args)
    pairs = zip(args.models, args.weights, strict=True)
    subjects = [subject(*pair, image, args) for pair in pairs]
    check_folder(args.out_dir, '--out-dir')
    for name in args.show:
        path = args.out_dir / f'{name}.png'
        figure = PICTURES[name](subjects, image, args)
        figure.savefig(path, dpi=100)
        plt.close(figure)
        print(f'{name}: {path}')


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, visualize)


if __name__ == '__main__':
    main()
