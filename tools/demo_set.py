"""Draw the demo set: small made-up scenes, laid out like COCO 2017 and like ADE20K."""

from demo.dataset import make_demo_set
from lib.usage import make_parser, run_tool, usage_errors

EXAMPLE = """\
example:
  $ python tools/demo_set.py data/demo --train 400 --val 50
  data/demo holds 400 training and 50 validation images; overview.jpg shows some of them.
"""


def command_line():
    """The parser of the arguments."""
    parser = make_parser(__doc__, EXAMPLE)
    parser.add_argument('root', nargs='?', default='data/demo', help='folder (data/demo)')
    parser.add_argument('--train', type=int, default=400, help='training images (400)')
    parser.add_argument('--val', type=int, default=50, help='validation images (50)')
    parser.add_argument('--size', type=int, default=160, help='side of an image in pixels (160)')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other scenes (0)')
    return parser


def draw(args):
    """Draw the set, where it is not there yet."""
    with usage_errors(ValueError, OSError):
        make_demo_set(**vars(args))
    counts = f'{args.train} training and {args.val} validation images'
    print(f'{args.root} holds {counts}; overview.jpg shows some of them.')


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    run_tool(command_line, draw, arguments)


if __name__ == '__main__':
    main()
