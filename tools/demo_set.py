"""Draw the demo set: small made-up scenes, laid out like COCO 2017 and like ADE20K."""

import argparse

from demo.dataset import make_demo_set

EXAMPLE = """\
example:
  $ python tools/demo_set.py data/demo --train 400 --val 50
  data/demo holds 400 training and 50 validation images; overview.jpg shows some of them.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('root', nargs='?', default='data/demo', help='folder (data/demo)')
    parser.add_argument('--train', type=int, default=400, help='training images (400)')
    parser.add_argument('--val', type=int, default=50, help='validation images (50)')
    parser.add_argument('--size', type=int, default=160, help='side of an image in pixels (160)')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other scenes (0)')
    options = parser.parse_args(arguments)
    try:
        make_demo_set(**vars(options))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    counts = f'{options.train} training and {options.val} validation images'
    print(f'{options.root} holds {counts}; overview.jpg shows some of them.')


if __name__ == '__main__':
    main()
