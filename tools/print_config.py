"""Print a whole config, with its bases resolved; what is printed is a config again."""

from pathlib import Path

from lib.arguments import add_config, check_folder
from lib.process import prepare_process
from lib.run_config import CONFIGS, read_config
from lib.usage import UsageError, make_parser, run_tool


def command_line():
    """The parser of the arguments."""
    example = 'example: python tools/print_config.py configs/mask_rcnn_swin_t.py --demo'
    parser = make_parser(__doc__, example)
    add_config(parser, 'what tools/train.py --demo makes of it')
    parser.add_argument('--save-path', metavar='FILE', help='write it too: .py, .json or .yml')
    return parser


def save(cfg, path):
    """Write a config."""
    if not path.endswith(CONFIGS):
        raise UsageError(f'--save-path {path} must end in one of {" ".join(CONFIGS)}')
    check_folder(Path(path).parent, '--save-path')
    cfg.dump(path)


def show(args):
    """Print the config, and write it if wanted."""
    cfg = read_config(args)
    if args.save_path:
        save(cfg, args.save_path)
    print(cfg.pretty_text)


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, show)


if __name__ == '__main__':
    main()
