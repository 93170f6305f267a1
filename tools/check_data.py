"""Look at the data of a config before a training does: annotations, classes, images, maps.

Each fault is one sentence with the file, what was found and what was expected. COCO-style and
mask-style datasets are known. tools/train.py does the quick part, without images, by itself.
"""

import sys

from lib.arguments import add_cfg_options, check_scope, make_parser, progress
from lib.data_checks import image_findings, quick_findings
from lib.run_config import read_config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
MOST = 20  # sentences of one kind of look


def parse():
    """The arguments, and the parser for errors about them."""
    example = (
        'examples:\n'
        '  python tools/check_data.py configs/mask_rcnn_swin_t.py\n'
        '  python tools/check_data.py my_config.py --quick'
    )
    parser = make_parser(__doc__, example)
    parser.add_argument('config', help='a config file, e.g. configs/mask_rcnn_swin_t.py')
    parser.add_argument('--quick', action='store_true', help='annotations alone, no images')
    add_cfg_options(parser, 'settings to override, e.g. train_dataloader.dataset.data_root=data')
    parser.set_defaults(demo=False)
    return parser.parse_args(), parser


def loaders_of(cfg):
    """The loaders that differ in their data."""
    seen = []
    for name in LOADERS:
        if cfg.get(name) and all(cfg[name].dataset != cfg[other].dataset for other in seen):
            seen.append(name)
    return seen


def show(findings):
    """Print sentences, the first of many; how many were faults."""
    findings = list(dict.fromkeys(findings))
    for finding in findings[:MOST]:
        print(f'{"fault" if finding.is_fault else "note "}  {finding.text}')
    if len(findings) > MOST:
        print(f'       and {len(findings) - MOST} more')
    return sum(finding.is_fault for finding in findings)


def main():
    """Look, and say what was found; the exit status is 1 if there is a fault."""
    args, parser = parse()
    cfg = read_config(args, parser, None)
    check_scope(cfg, args.config, parser)
    loaders = loaders_of(cfg)
    count = show(quick_findings(cfg, loaders))
    if not args.quick:
        count += sum(show(image_findings(cfg, loader, progress)) for loader in loaders)
    if count:
        sys.exit(f'{count} faults in the data of {args.config}')
    print(f'no fault in {", ".join(loaders)} of {args.config}')


if __name__ == '__main__':
    main()
