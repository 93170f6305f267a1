"""Look at the data of a config before a training does: annotations, classes, images, maps.

Each fault is one sentence with the file, what was found and what was expected. COCO-style and
mask-style datasets are known. tools/train.py does the quick part, without images, by itself.
"""

import sys
import warnings

from lib.arguments import add_cfg_options, make_parser, progress
from lib.data_checks import quick_findings
from lib.datasets import open_datasets
from lib.image_checks import image_findings
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
    """Print sentences, the first of many; the faults, and what was not looked at."""
    findings = list(dict.fromkeys(findings))
    said = [each for each in findings if each.kind != 'not looked at']
    for finding in said[:MOST]:
        print(f'{finding.kind:5}  {finding.text}')
    if len(said) > MOST:
        print(f'       and {len(said) - MOST} more')
    return [each for each in findings if each.is_fault], [*{*findings} - {*said}]


def main():
    """Look, and say what was found; the exit status is 1 if there is a fault."""
    args, parser = parse()
    warnings.simplefilter('ignore')  # of mm, on models and packages
    cfg = read_config(args, parser, None)
    loaders = loaders_of(cfg)
    datasets = open_datasets(cfg, loaders)
    faults, unseen = show(quick_findings(cfg, loaders, datasets))
    for opened in [] if args.quick else datasets:
        found = show(image_findings(opened, cfg.get('default_scope'), progress))
        faults, unseen = faults + found[0], unseen + found[1]
    for text in dict.fromkeys(finding.text for finding in unseen):
        print(f'not looked at: {text}')
    if faults:
        sys.exit(f'{len(faults)} faults in the data of {args.config}')
    if not unseen:
        print(f'no fault in {", ".join(loaders)} of {args.config}')


if __name__ == '__main__':
    main()
