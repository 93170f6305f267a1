"""Put our Swin into a config of mmdet, mmseg or another package of mm; it stays a config."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from lib.arguments import check_folder
from lib.process import prepare_process
from lib.run_config import CONFIGS
from lib.usage import UsageError, make_parser, run_tool, usage_errors
from mmengine.config import Config

from mmbackbones import convert_config
from mmbackbones.weights.errors import truncate
from mmbackbones.weights.published_dense import published_dense

DETECTRON2 = 'it is a config of detectron2, which calls classes; give one of mm'


def command_line():
    """The parser of the arguments."""
    example = (
        'examples:\n'
        '  python tools/convert_config.py mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py\n'
        '  python tools/convert_config.py their_config.py our_config.py'
    )
    parser = make_parser(__doc__, example)
    parser.add_argument('config', help='a file, or mmdet::NAME or mmseg::NAME for one of theirs')
    parser.add_argument('out', nargs='?', help='a new .py, .json or .yml file [it is printed]')
    return parser


def find_config(config):
    """The file of a config, which may lie in an installed package."""
    scope, separator, name = config.rpartition('::')
    path = Path(config)
    if separator:
        package = find_spec(scope) if scope.isidentifier() else None
        if not package or not package.origin:
            raise UsageError(f'{config}: {scope} is not installed; give the file of the config')
        path = Path(package.origin).parent / '.mim/configs' / name
    if not path.is_file() or path.suffix not in CONFIGS:
        raise UsageError(
            f'there is no config {config}; give a file, or a name as in mmdet::swin/...'
        )
    return path


def check_out(out):
    """Raise a `UsageError` if the new config cannot be written there or would replace a file."""
    if Path(out).suffix not in CONFIGS:
        raise UsageError(f'{out} must end in one of {" ".join(CONFIGS)}')
    if Path(out).exists():
        raise UsageError(f'{out} exists; remove it, or give another name')
    check_folder(Path(out).parent, 'out')


def convert(path):
    """The new config and its text; nothing is imported that the config names."""
    try:
        cfg = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:  # a config is code, which fails in its own ways
        reason = (
            f'it cannot be read, {type(error).__name__}: {truncate(error) or "no reason given"}'
        )
        calls = isinstance(error, RuntimeError) and not str(error)  # what it would import, a class
        raise ValueError(DETECTRON2 if calls or is_lazy(path) else reason) from None
    try:
        cfg = convert_config(cfg)
    except ValueError:
        if is_lazy(path):
            raise ValueError(DETECTRON2) from None
        raise
    return cfg, cfg.pretty_text


def is_lazy(path):
    """Whether a file is a LazyConfig of detectron2."""
    return bool(re.search(r'^from detectron2\b', path.read_text(errors='replace'), re.MULTILINE))


def print_or_write(args):
    """Convert a config, and print or write it."""
    path = find_config(args.config)
    if args.out:
        check_out(args.out)
    with usage_errors(SyntaxError, TypeError, ValueError, about=args.config):
        cfg, text = convert(path)
    if url := published_dense(args.config):
        print(f'published weights for it: {url}', file=sys.stderr)
    if args.out:
        cfg.dump(args.out)
    else:
        print(text)


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, print_or_write)


if __name__ == '__main__':
    main()
