"""Train a detector or segmenter, on COCO and ADE20K or, with --demo, on the demo set."""

from pathlib import Path

import torch
from lib.memory import keep_pages
from lib.normalization import foreign_normalization
from lib.process import meet_on_cpus, prepare_process
from lib.run_config import (
    check_checkpoint,
    check_config,
    check_data,
    check_resumable,
    check_unused,
    check_work_dir,
    common_parser,
    draw_demo_set,
    last_checkpoint,
    load_config,
    locked,
    run,
)
from lib.training_file import write_training_file
from lib.usage import UsageError, run_tool
from mmengine.config import Config

# bfloat16 has the range of float32, so its losses need no scale.
PRECISIONS = {'float16': 'dynamic', 'bfloat16': dict(enabled=False)}
STRATEGIES = Path(__file__).parent.parent / 'configs/_base_/strategies'


def command_line():
    """The parser of the arguments."""
    parser = common_parser(__doc__, 'python tools/train.py configs/mask_rcnn_swin_t.py --demo')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--amp-dtype', choices=PRECISIONS, default='float16', help='of what precision [float16]'
    )
    parser.add_argument(
        '--strategy',
        choices=('fsdp', 'deepspeed'),
        help='shard the training over the GPUs, by the settings in configs/_base_/strategies',
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='fit the learning rate to the total batch size'
    )
    parser.add_argument(
        '--detect-nan', action='store_true', help='stop at the first NaN in images or losses'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the last one of the work dir',
    )
    return parser


def configure(args):
    """The config to train with, of which everything was looked at that can be before a training."""
    cfg = load_config(args)
    check_config(cfg)
    meet_on_cpus(args.launcher)
    draw_demo_set(args, cfg)
    cfg.setdefault('custom_hooks', [])
    if args.amp:
        use_amp(cfg, args.amp_dtype)
    if args.strategy and args.launcher == 'none':
        raise UsageError(
            f'--strategy {args.strategy} shards over several processes: bash tools/dist_train.sh '
            f'{args.config} NUMBER_OF_GPUS --strategy {args.strategy}'
        )
    if args.auto_scale_lr:
        scale_rate(cfg, args.config)
    if args.strategy:
        use_strategy(cfg, args.strategy, args.amp and args.amp_dtype)
    if cfg.get('compile'):
        cfg.custom_hooks.append(dict(type='mmbackbones.CompileHook'))
    if args.detect_nan:
        cfg.custom_hooks.append(dict(type='mmbackbones.DetectNanHook'))
    if args.resume or cfg.get('resume'):
        resume(cfg, args.resume or cfg.get('load_from') or 'auto')
    else:
        check_unused(cfg.work_dir)
    if cfg.get('load_from') and not cfg.get('resume'):
        cfg.load_from = check_checkpoint(cfg.load_from)
    check_data(cfg, ('train_dataloader', 'val_dataloader'))
    check_work_dir(cfg)
    return cfg


def scale_rate(cfg, name):
    """Fit the learning rate to the total batch size, accumulated batches included.

    mmengine counts the batch of a step alone, of which `accumulative_counts` make an update.
    """
    if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
        raise UsageError(f'{name} has no auto_scale_lr.base_batch_size to scale from')
    cfg.auto_scale_lr.enable = True
    cfg.auto_scale_lr.base_batch_size /= cfg.optim_wrapper.get('accumulative_counts', 1)


def use_amp(cfg, dtype):
    """Train in mixed precision, which mmengine does on accelerators only."""
    if not torch.accelerator.is_available():
        raise UsageError('--amp needs a GPU, and none was found; train without it')
    wrapper = dict(type='AmpOptimWrapper', dtype=dtype, loss_scale=PRECISIONS[dtype])
    cfg.optim_wrapper.update(wrapper)


def use_strategy(cfg, name, precision):
    """Train by mmengine's FlexibleRunner, as the strategy's file says."""
    cfg.merge_from_dict(Config.fromfile(STRATEGIES / f'{name}.py').to_dict())
    if name == 'deepspeed':
        use_deepspeed(cfg, precision)


def resume(cfg, checkpoint):
    """Go on from a checkpoint, or from the last whole one of the work dir, if there is any."""
    auto = checkpoint == 'auto'
    found = last_checkpoint(cfg.work_dir) if auto else check_checkpoint(checkpoint)
    cfg.resume = bool(found)
    if found:
        check_resumable(found, cfg)
        cfg.load_from = found


def use_deepspeed(cfg, precision):
    """Hand DeepSpeed the settings of what an optimizer wrapper does without it."""
    wrapper, strategy = cfg.optim_wrapper, cfg.strategy
    strategy.gradient_clipping = (wrapper.pop('clip_grad', None) or {}).get('max_norm', 0.0)
    strategy.gradient_accumulation_steps = wrapper.pop('accumulative_counts', 1)
    strategy.train_micro_batch_size_per_gpu = cfg.train_dataloader.batch_size
    wrapper.pop('dtype', None)
    wrapper.pop('loss_scale', None)
    if precision:
        key = {'float16': 'fp16', 'bfloat16': 'bf16'}[precision]
        strategy.update({key: dict(enabled=True), 'inputs_to_half': ['inputs']})


def before(runner):
    """What is written and said before a training."""
    write_training_file(runner)
    begins = not runner.cfg.get('load_from')  # then the backbone keeps its own weights
    if begins and (finding := foreign_normalization(runner.cfg)):
        runner.logger.warning(finding)


def train(args):
    """Train."""
    keep_pages()
    cfg = configure(args)
    with locked(cfg.work_dir):
        run(cfg, 'train', before)


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, train)


if __name__ == '__main__':
    main()
