"""Look at the data of a config before a training does: annotations, classes, images, maps.

Each fault is one sentence with the file, what was found and what was expected. tools/train.py does
the quick part, without images, by itself.
"""

import sys
import warnings

from lib.arguments import add_cfg_options, import_quietly, progress
from lib.data_checks import quick_findings
from lib.datasets import open_datasets
from lib.image_checks import image_findings
from lib.process import prepare_process
from lib.run_config import read_config
from lib.usage import make_parser, run_tool

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
MOST = 20  # sentences of one kind of look


def command_line():
    """The parser of the arguments."""
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
    return parser


def show(findings):
    """Print sentences, of many the first, and return them."""
    findings = list(dict.fromkeys(findings))
    for finding in findings[:MOST]:
        print(f'{finding.kind}: {finding.printable}')
    if len(findings) > MOST:
        print(f'and {len(findings) - MOST} more')
    return findings


def look(args):
    """Look, and say what was found; the exit status is 1 if there is a fault."""
    warnings.simplefilter('ignore')  # of mm, on models and packages
    cfg = read_config(args)
    import_quietly(cfg.get('default_scope'))
    loaders = {}  # those that differ in their data
    for name in LOADERS:
        if cfg.get(name):
            loaders.setdefault(str(cfg[name].dataset), name)
    datasets = open_datasets(cfg, loaders.values())
    found = show(quick_findings(cfg, datasets))
    if not args.quick:
        for opened in datasets:
            found += show(image_findings(opened, cfg.get('default_scope'), progress))
    faults = {finding for finding in found if finding.is_fault}
    if faults:
        sys.exit(f'{len(faults)} faults in the data of {args.config}')
    if all(finding.kind != 'not looked at' for finding in found):
        print(f'no fault in {", ".join(loaders.values())} of {args.config}')


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, look)


if __name__ == '__main__':
    main()
