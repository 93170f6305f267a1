"""What training and testing share: arguments, the config, a look at data and disk, the run."""

import argparse
import contextlib
import errno
import pickle
import sys
from pathlib import Path

import torch
from demo.mode import adapt, draw_set
from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.registry import MODEL_WRAPPERS, RUNNERS
from mmengine.utils import import_modules_from_strings
from torch.nn.parallel import DistributedDataParallel

from lib.arguments import add_config, check_folder, import_quietly
from lib.config_checks import check_maps, check_options, check_settings
from lib.data_checks import quick_findings
from lib.datasets import inner_datasets, open_datasets
from lib.process import process_number
from lib.short_log import ShortLogRunner
from lib.usage import UsageError, make_parser, usage_errors
from mmbackbones import path_of
from mmbackbones.weights.downloading import local_file
from mmbackbones.weights.errors import CheckpointError, refused
from mmbackbones.weights.loading import OWN
from mmbackbones.weights.published_dense import published_dense, with_published_weights
from mmbackbones.weights.reading import load_from_checked_file, strip_prefix

CONFIGS = ('.py', '.json', '.yaml', '.yml')  # what mmengine reads
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room left on a disk, or for a user or file


def common_parser(description, example):
    """A parser with the flags that mmdet and mmseg users know."""
    parser = make_parser(description, f'example: {example}')
    add_config(parser, 'run on the small demo set instead of COCO or ADE20K, from random weights')
    parser.add_argument('--work-dir', help='where logs and checkpoints go [work_dirs/CONFIG]')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_config(args):
    """The config of the arguments for a runner, with the hooks that all our runs have."""
    cfg = read_config(args)
    folder = cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    cfg.work_dir = args.work_dir or folder + ('_demo' if args.demo else '')
    cfg.launcher = args.launcher
    allow_new = cfg.pop('allow_new', ())
    cfg.custom_hooks = [
        *(cfg.get('custom_hooks') or []),
        dict(type='mmbackbones.WholeCheckpointHook', new=allow_new),
        dict(type='mmbackbones.ScheduleHook'),
        dict(type='mmbackbones.FiniteLossHook'),
        dict(type='mmbackbones.BFloat16Hook'),
    ]
    if args.launcher == 'pytorch' and not torch.accelerator.is_available():
        use_cpus(cfg)
    return cfg


def read_config(args):
    """The config of the arguments with its options, adapted to the demo set with --demo."""
    if not Path(args.config).is_file() or not args.config.endswith(CONFIGS):
        raise UsageError(f'there is no config {args.config}; take one of {path_of("configs")}/*.py')
    # Whatever a file of Python, or mm with its values, raises.
    with usage_errors(Exception, about=args.config):
        cfg = Config.fromfile(args.config)
        check_options(cfg, args.cfg_options)
        cfg.merge_from_dict(args.cfg_options)
        if 'custom_imports' in args.cfg_options:  # which others are while the file is read
            import_modules_from_strings(**cfg.custom_imports)
        if args.demo:
            adapt(cfg)
            cfg.merge_from_dict(args.cfg_options)
    return cfg


def draw_demo_set(args, cfg):
    """With --demo, draw the demo set that a config reads, where it is not there yet."""
    if args.demo:
        with usage_errors(OSError, ValueError, about=args.config):
            draw_set(cfg)


def check_config(cfg):
    """Raise a `UsageError` at what the library would say of a config later and less clearly."""
    import_quietly(cfg.get('default_scope'))
    check_settings(cfg)
    check_maps(cfg)


def use_cpus(cfg):
    """Let DDP not look for GPUs, of which mmengine expects one for each process."""
    if 'strategy' in cfg:
        return
    unused = cfg.get('find_unused_parameters', False)
    usual = dict(type='MMDistributedDataParallel', find_unused_parameters=unused)
    wrapper = cfg.get('model_wrapper_cfg') or dict(usual, broadcast_buffers=False)
    kind = wrapper.get('type', usual['type'])
    kind = MODEL_WRAPPERS.get(kind) if isinstance(kind, str) else kind
    devices = dict(device_ids=None) if issubclass(kind, DistributedDataParallel) else {}
    cfg.model_wrapper_cfg = {**devices, **wrapper}


def published(config):
    """The URL of the published weights for a config."""
    url = published_dense(config)
    if not url:
        raise UsageError(
            f'nobody published weights for {config}; there are some for '
            f'{", ".join(with_published_weights())}'
        )
    return url


def check_checkpoint(source):
    """The path of a file or URL; a `UsageError` if it is not there, damaged or would run code."""
    with usage_errors(FileNotFoundError, CheckpointError):
        path = local_file(source)
        if path.exists():
            verify_checkpoint(path)
            return str(path)
    raise UsageError(f'there is no checkpoint {source}; tools/train.py writes them into work_dirs')


def verify_checkpoint(path):
    """Raise a `CheckpointError` if a file is damaged or would run code on loading.

    Folders are checkpoints of DeepSpeed, which has its own ways.
    """
    if Path(path).is_file():
        load_from_checked_file(path)


def checkpoints(work_dir):
    """The checkpoints that trainings left in a work dir, the newest first."""
    found = [*Path(work_dir).glob('epoch_*.pth'), *Path(work_dir).glob('iter_*.pth')]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def check_unused(work_dir):
    """Raise a `UsageError` if a new training would write over the checkpoints of another."""
    if found := checkpoints(work_dir):
        fail_once(
            f'{work_dir} holds a training ({found[0].name}) that this one would write over; go on '
            f'with it by --resume, or set another --work-dir'
        )


def last_checkpoint(work_dir):
    """The newest whole checkpoint of a work dir, or None; what is passed over is said."""
    found = checkpoints(work_dir)
    for path in found:
        try:
            verify_checkpoint(path)
            return str(path)
        except CheckpointError as error:
            print(f'passed over: {error}', file=sys.stderr)
    if found:
        raise UsageError(
            f'{work_dir} has no checkpoint to resume from: none is whole; move them away'
        )
    return None


def check_resumable(path, cfg):
    """Raise a `UsageError` if a file holds no training, or one whose backbone had other names.

    Its optimizer counts parameters in their order, which belongs to those names.
    """
    if Path(path).is_dir():  # of DeepSpeed, which checks its own
        return
    content = load_from_checked_file(path, 'meta')
    meta = content.get('meta')
    if not counts_steps(meta) or 'optimizer' not in content:
        raise UsageError(
            f'{path} holds no training to go on with, but weights; start from them with '
            f'--cfg-options load_from={path}'
        )
    check_progress(path, meta, cfg)
    tensors = content['state_dict']
    found = {name.partition('backbone.')[0] for name in tensors if 'backbone.' in name}
    backbones = [strip_prefix(tensors, f'{prefix}backbone.')[0] for prefix in found]
    if not all(map(OWN.fits, backbones)) and 'mmbackbones.' in str(cfg.model):
        raise UsageError(
            f'{path} cannot be resumed, because its backbone is laid out in another way than ours, '
            f'and with it the state of the optimizer; start from its weights with '
            f'--cfg-options load_from={path}'
        )


def counts_steps(meta):
    """Whether epochs and steps in the meta of a checkpoint are whole numbers, where it has any."""
    return isinstance(meta, dict) and all(
        isinstance(meta.get(unit, 0), int) for unit in ('epoch', 'iter')
    )


def check_progress(path, meta, cfg):
    """Raise a `UsageError` if a training has gone too far; end well if nothing is left to do."""
    for unit, limit in (('epoch', 'max_epochs'), ('iter', 'max_iters')):
        done, wanted = meta.get(unit, 0), cfg.train_cfg.get(limit)
        if wanted is not None and done > wanted:
            raise UsageError(
                f'{path} has trained for {done} {unit}s already, and train_cfg.{limit} is '
                f'{wanted}; set a larger one, or test it with tools/test.py'
            )
        if wanted is not None and done == wanted:
            print(f'{path} has all {done} {unit}s: nothing is left to train', file=sys.stderr)
            sys.exit(0)


def check_data(cfg, loaders):
    """Raise a `UsageError` if data are missing, or wrong as far as the annotations show it."""
    for finding in quick_findings(cfg, open_datasets(cfg, loaders)):
        if finding.is_fault:
            hint = '(all faults: python tools/check_data.py CONFIG)'
            fail_once(f'{finding.printable} {hint}')
        if not process_number():
            print(f'{finding.kind}: {finding.printable}', file=sys.stderr)


def fail_once(message):
    """Raise a `UsageError` in the first of several processes; the others end without a word."""
    if process_number():
        sys.exit(2)
    raise UsageError(message)


def check_work_dir(cfg):
    """Raise a `UsageError` if nothing can be written into the work dir."""
    check_folder(cfg.work_dir, '--work-dir')


def locked(work_dir):
    """A context in which no other training writes into a work dir; a `UsageError` if one does."""
    if process_number():
        return contextlib.nullcontext()
    lock = FileLock(Path(work_dir, 'training.lock'))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        text = f'another training writes into {work_dir}; set another --work-dir, or wait'
        raise UsageError(text) from None


def run(cfg, action, prepare=lambda runner: None):
    """What a runner's `train` or `test` returns; unfit weights, NaN, a full disk are one sentence.

    `prepare` is called with the runner before.
    """
    try:
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else ShortLogRunner.from_cfg(cfg)
        prepare(runner)
        return getattr(runner, action)()
    except KeyboardInterrupt:
        sys.exit(interrupted(cfg, action))
    except CheckpointError as error:
        sys.exit(str(error))
    except FloatingPointError as error:
        sys.exit(f'stopped: {error}')
    except pickle.UnpicklingError as error:  # from a folder of DeepSpeed
        sys.exit(str(refused(Path(cfg.load_from), error)))
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.errno is None:  # of a download
            sys.exit(str(error))
        if error.errno not in FULL:
            raise
        sys.exit(
            f'writing into {cfg.work_dir} failed: {error.strerror}; make room, then go on from the '
            f'last whole checkpoint with --resume'
        )


def interrupted(cfg, action):
    """What to say after Ctrl-C; the first process alone says it."""
    if process_number():
        return 130
    found = checkpoints(cfg.work_dir) if action == 'train' else []
    if found:
        return f'interrupted; {found[0]} is the last checkpoint: go on from it with --resume'
    return 'interrupted before the first checkpoint' if action == 'train' else 'interrupted'


def innermost(dataset):
    """A dataset without its wrappers; of several in one, the first."""
    return inner_datasets(dataset)[0]
