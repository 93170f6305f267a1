"""What training and testing share: arguments, the config they run, and a look at the data first."""

import argparse
from pathlib import Path

import torch
from demo_mode import to_demo
from mmengine.config import Config, DictAction

SOURCES = {
    'mmdet': 'download train2017, val2017 and annotations from https://cocodataset.org/#download',
    'mmseg': 'download ADEChallengeData2016 from https://groups.csail.mit.edu/vision/datasets/ADE20K',
}


def common_parser(description, example):
    """A parser with the flags that mmdet and mmseg users know."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f'example: {example}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='a config file, e.g. configs/mask_rcnn_swin_t.py')
    parser.add_argument('--work-dir', help='where logs and checkpoints go [work_dirs/CONFIG]')
    parser.add_argument(
        '--demo',
        action='store_true',
        help='run on the small demo set instead of COCO or ADE20K, from random weights',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='settings to override, e.g. train_dataloader.batch_size=4',
    )
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_config(args, parser):
    """The config of the arguments, or an exit with one sentence that says what is wrong with it."""
    if not Path(args.config).is_file():
        parser.error(f'there is no config {args.config}; take one of configs/*.py')
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    if args.demo:
        to_demo(cfg)
        cfg.merge_from_dict(args.cfg_options)
    name = Path(args.config).stem + ('_demo' if args.demo else '')
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{name}'
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch' and not torch.accelerator.is_available():
        use_cpus(cfg)
    return cfg


def use_cpus(cfg):
    """Let processes meet through gloo, and DDP not look for GPUs; mmengine expects one each."""
    torch.distributed.init_process_group('gloo')
    if 'strategy' not in cfg:
        wrapper = dict(broadcast_buffers=False, device_ids=None)
        cfg.model_wrapper_cfg = {**wrapper, **cfg.get('model_wrapper_cfg', {})}


def check_checkpoint(path, parser):
    """The path, or an exit with one sentence if there is no such file."""
    if not Path(path).is_file():
        parser.error(f'there is no checkpoint {path}; tools/train.py writes them into work_dirs')
    return path


def check_data(cfg, loaders, parser):
    """Exit with one sentence if a file or folder of the datasets is missing."""
    for loader in loaders:
        missing = next(
            (path for path in data_paths(cfg[loader].dataset) if not path.exists()), None
        )
        if missing:
            source = SOURCES.get(cfg.get('default_scope'), 'get the data')
            root = cfg[loader].dataset.data_root
            parser.error(
                f'{missing} is missing: {source} and unpack into {root}, set '
                f'{loader}.dataset.data_root, or try the demo set with --demo'
            )


def data_paths(dataset):
    """Every path that a dataset of mmdet or mmseg will read, wrappers included."""
    if 'dataset' in dataset:
        return data_paths(dataset.dataset)
    root = Path(dataset.get('data_root') or '')
    names = [dataset.get('ann_file'), *dataset.get('data_prefix', {}).values()]
    return [root / name for name in names if name]
