"""Print a whole config, with its bases resolved; what is printed is a config again."""

from pathlib import Path

from demo.mode import adapt
from lib.arguments import add_config, check_folder, make_parser
from lib.run_config import CONFIGS, read_config


def parse():
    """The arguments, and the parser for errors about them."""
    example = 'example: python tools/print_config.py configs/mask_rcnn_swin_t.py --demo'
    parser = make_parser(__doc__, example)
    add_config(parser, 'what tools/train.py --demo makes of it')
    parser.add_argument('--save-path', metavar='FILE', help='write it too: .py, .json or .yml')
    return parser.parse_args(), parser


def save(cfg, path, parser):
    """Write a config, or exit with one sentence."""
    if not path.endswith(CONFIGS):
        parser.error(f'--save-path {path} must end in one of {" ".join(CONFIGS)}')
    check_folder(Path(path).parent, '--save-path', parser)
    cfg.dump(path)


def main():
    """Print, and write if wanted."""
    args, parser = parse()
    cfg = read_config(args, parser, adapt)
    if args.save_path:
        save(cfg, args.save_path, parser)
    print(cfg.pretty_text)


if __name__ == '__main__':
    main()
