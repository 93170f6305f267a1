"""What the flags of tools/train.py make of a config, and mixed precision by mmengine's wrapper."""

import sys

import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import train
from lib import run_config
from lib.usage import UsageError, run_tool
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS, STRATEGIES
from mmengine.runner import Runner
from small_configs import DETECTOR, SEGMENTER

from mmbackbones.registry import HOOKS


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """The config that train.py would train with, as if there was a GPU."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'tiny.py').write_text(DETECTOR)

    def function(*arguments):
        monkeypatch.setattr(sys, 'argv', ['train.py', 'tiny.py', '--demo', *arguments])
        with monkeypatch.context() as with_gpu:  # which PyTorch must not believe afterwards
            with_gpu.setattr(torch.accelerator, 'is_available', lambda: True)
            return run_tool(train.command_line, train.configure)

    return function


def test_mixed_precision(configure):
    half, brain = configure('--amp'), configure('--amp', '--amp-dtype', 'bfloat16')
    assert half.optim_wrapper.type == brain.optim_wrapper.type == 'AmpOptimWrapper'
    assert (half.optim_wrapper.dtype, half.optim_wrapper.loss_scale) == ('float16', 'dynamic')
    assert (brain.optim_wrapper.dtype, brain.optim_wrapper.loss_scale.enabled) == (
        'bfloat16',
        False,
    )


def test_a_step_in_mixed_precision(configure, monkeypatch, tmp_path):
    """By mmengine's wrapper, which asks for a GPU that bfloat16 does not need.

    Of a segmenter: on the CPU, mmcv's suppression of boxes takes no bfloat16.
    """
    (tmp_path / 'tiny.py').write_text(SEGMENTER)
    cfg = configure('--amp', '--amp-dtype', 'bfloat16')
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    runner, seen = Runner.from_cfg(cfg), []
    wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    model = runner.model.train()
    weight = model.backbone.stages[0].blocks[0].mlp.fc1
    weight.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    before = weight.weight.clone()
    losses = model.train_step(batch, wrapper)
    assert seen[0] == torch.bfloat16
    assert all(value.isfinite().all() for value in losses.values())
    assert not torch.equal(before, weight.weight)


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        (
            'model.neck.in_channels=[16,32,64]',
            'model.neck takes maps [0, 1, 2, 3] with in_channels=[16, 32, 64], but '
            'mmbackbones.SwinTransformer returns maps of [16, 32, 64, 128] channels; set in_ch',
        ),
        ('model.backbone.out_indices=(1,2,3)', 'returns maps of [32, 64, 128] channels'),
        ('model.backbone.out_indices=(1,2,9)', 'model.backbone: out_indices'),
        ('model.backbone.window=7', 'model.backbone: SwinTransformer has no argument window'),
    ],
)
def test_channels_that_do_not_fit_are_one_sentence(configure, option, words, capsys):
    with pytest.raises(SystemExit):
        configure('--cfg-options', option)
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_channels_of_heads(configure, tmp_path, capsys):
    (tmp_path / 'tiny.py').write_text(SEGMENTER)
    for option, words in (
        ('model.auxiliary_head.in_channels=9', 'model.auxiliary_head takes maps [2] with in_cha'),
        ('model.auxiliary_head.in_index=7', 'takes maps [7]'),
        ('model.decode_head.in_channels=[16,32,64]', 'model.decode_head takes maps [0, 1, 2, 3]'),
    ):
        with pytest.raises(SystemExit):
            configure('--cfg-options', 'model.auxiliary_head.in_channels=64', option)
        assert words in capsys.readouterr().err.splitlines()[-1]


def test_strategies(configure):
    for name, strategy in (('fsdp', 'FSDPStrategy'), ('deepspeed', 'DeepSpeedStrategy')):
        cfg = configure('--strategy', name, '--launcher', 'pytorch')
        assert cfg.runner_type == 'FlexibleRunner'
        assert STRATEGIES.get(cfg.strategy.type).__name__ == strategy


def test_deepspeed_clips_accumulates_and_casts_itself(configure):
    more = ('--cfg-options', 'optim_wrapper.accumulative_counts=4')
    half = ('--amp', '--amp-dtype', 'bfloat16')
    cfg = configure('--strategy', 'deepspeed', '--launcher', 'pytorch', *half, *more)
    assert set(cfg.optim_wrapper) == {'type', 'optimizer', 'paramwise_cfg'}
    assert cfg.optim_wrapper.type == 'DeepSpeedOptimWrapper'
    assert cfg.strategy.gradient_clipping == 10
    assert cfg.strategy.gradient_accumulation_steps == 4
    assert cfg.strategy.train_micro_batch_size_per_gpu == 2
    assert cfg.strategy.bf16.enabled
    assert cfg.strategy.inputs_to_half == ['inputs']


def test_hooks_of_a_config_stay(configure, tmp_path):
    with open(tmp_path / 'tiny.py', 'a') as file:
        file.write("custom_hooks = [dict(type='EMAHook')]\n")
    types = [hook['type'] for hook in configure('--detect-nan').custom_hooks]
    assert types[0] == 'EMAHook'
    assert types[-1] == 'mmbackbones.DetectNanHook'


@pytest.mark.parametrize('flag', [[], ['--resume']])
def test_weights_to_start_from_are_checked_and_stay(configure, tmp_path, flag):
    torch.save(dict(state_dict={'backbone.weight': torch.ones(1)}), tmp_path / 'weights.pth')
    cfg = configure(*flag, '--cfg-options', 'load_from=weights.pth')
    assert (cfg.load_from, cfg.resume) == ('weights.pth', False)
    (tmp_path / 'weights.pth').write_bytes(b'not weights')
    with pytest.raises(SystemExit):
        configure(*flag, '--cfg-options', 'load_from=weights.pth')


def test_what_cannot_be_resumed_is_said_before_anything_is_built(configure, tmp_path, capsys):
    ours, theirs = 'backbone.stem.proj.weight', 'backbone.patch_embed.projection.weight'
    block = 'backbone.stages.0.blocks.0.norm1.weight'
    training = dict(meta={}, optimizer={}, message_hub={})

    def resume(**content):
        torch.save(content, tmp_path / 'file.pth')
        return configure('--resume', 'file.pth')

    assert resume(state_dict=dict.fromkeys([ours, block], torch.ones(1)), **training).resume
    for content, words in (
        (
            dict(training, state_dict={theirs: torch.ones(1)}),
            'is laid out in another way than ours',
        ),
        (dict(training, state_dict={f'teacher.{theirs}': torch.ones(1)}), 'cannot be resumed'),
        (dict(state_dict={ours: torch.ones(1)}), 'holds no training to go on with, but weights'),
        (dict(training, state_dict={}, meta=dict(epoch='1')), 'holds no training to go on with'),
        (dict(training, state_dict={}, meta=[]), 'holds no training to go on with'),
    ):
        with pytest.raises(SystemExit):
            resume(**content)
        sentence = capsys.readouterr().err.splitlines()[-1]
        assert words in sentence
        assert sentence.endswith('with --cfg-options load_from=file.pth')
    resnet = ('--cfg-options', 'model.backbone._delete_=True', 'model.backbone.type=mmdet.ResNet')
    torch.save(dict(training, state_dict={theirs: torch.ones(1)}), tmp_path / 'file.pth')
    assert configure('--resume', 'file.pth', *resnet).resume


def test_parts_that_may_be_new_go_to_the_hook(configure):
    hooks = configure('--cfg-options', 'allow_new=roi_head.bbox_head,neck').custom_hooks
    (hook,) = [hook for hook in hooks if hook['type'] == 'mmbackbones.WholeCheckpointHook']
    assert hook['new'] == ['roi_head.bbox_head', 'neck']
    one = configure('--cfg-options', 'allow_new=neck')
    assert 'allow_new' not in one
    (hook,) = [each for each in one.custom_hooks if each['type'] == hook['type']]
    assert HOOKS.build(hook).new == ['neck']


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        ('train_dataloder.batch_size=2', 'no train_dataloder; did you mean train_dataloader?'),
        ('demo.epoch=2', '--cfg-options demo.epoch: there is no epoch; did you mean epochs?'),
        ('demo.colour=2', 'there is no colour; known are batch_size, epochs'),
        (
            'backbone.with_cp=True',
            'backbone is copied when the config is read; set model.backbone.with',
        ),
        (
            'data_root=data',
            'read; set test_dataloader.dataset.data_root, train_dataloader.dataset.d',
        ),
        (
            'dataset_type=VOCDataset',
            'set test_dataloader.dataset.type, train_dataloader.dataset.typ',
        ),
        ('train_pipeline.2.scale=(9,9)', 'set train_dataloader.dataset.pipeline.2.scale'),
        ('model.backbon.with_cp=True', 'there is no backbon; did you mean backbone?'),
        ('train_dataloader.batchsize=2', 'there is no batchsize; did you mean batch_size?'),
        ('anything=1', 'there is no anything; known are allow_new, auto_scale_lr'),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest_known(configure, option, words, capsys):
    with pytest.raises(SystemExit):
        configure('--cfg-options', option)
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_what_only_own_code_could_read_is_said(configure, tmp_path, capsys):
    (tmp_path / 'tiny.py').write_text((tmp_path / 'tiny.py').read_text() + 'threshold = 7\n')
    assert configure('--cfg-options', 'threshold=8').threshold == 8
    assert 'note: no runner reads threshold' in capsys.readouterr().err


def test_new_keys_of_parts_are_welcome(configure):
    options = ('model.backbone.with_cp=True', 'optim_wrapper.accumulative_counts=2')
    more = ('randomness.seed=3', 'sync_bn=torch', 'model.test_cfg.rcnn.nms.class_agnostic=True')
    cfg = configure('--cfg-options', *options, *more)
    assert cfg.model.backbone.with_cp
    assert cfg.optim_wrapper.accumulative_counts == 2
    hooks = "custom_hooks=[dict(type='EMAHook', momentum=2e-4), {'type': 'SyncBuffersHook'}]"
    ours = configure('--cfg-options', hooks, 'find_unused_parameters=True').custom_hooks
    assert ours[:2] == [dict(type='EMAHook', momentum=2e-4), dict(type='SyncBuffersHook')]
    assert configure('--cfg-options', 'model_wrapper_cfg.static_graph=True')


def test_a_resumed_training_says_what_is_left(configure, tmp_path, capsys):
    names = ('backbone.stem.proj.weight', 'backbone.stages.0.blocks.0.norm1.weight')
    tensors = {name: torch.ones(1) for name in names}

    def resume(epoch, *options, text='train_dataloader = dict(batch_size=2)'):
        meta = dict(epoch=epoch, iter=2 * epoch, cfg=text)
        content = dict(meta=meta, state_dict=tensors, optimizer={}, message_hub={})
        torch.save(content, tmp_path / 'file.pth')
        return configure('--resume', 'file.pth', '--cfg-options', 'demo.epochs=3', *options)

    assert resume(2).resume
    assert 'note' not in capsys.readouterr().err
    assert resume(2, text='import os').resume
    for epoch, status, words in (
        (3, 0, 'file.pth has all 3 epochs: nothing is left to train'),
        (4, 2, 'has trained for 4 epochs already, and train_cfg.max_epochs is 3; set a larger'),
    ):
        with pytest.raises(SystemExit) as end:
            resume(epoch)
        assert end.value.code == status
        assert words in capsys.readouterr().err.splitlines()[-1]


def test_one_step_is_a_demo(configure):
    cfg = configure('--cfg-options', 'demo.train=2', 'demo.batch_size=2')
    (rise,) = cfg.param_scheduler
    assert (rise.begin, rise.end) == (0, 1)


def test_demos_of_other_sizes_have_folders_of_their_own(configure, monkeypatch, tmp_path):
    roots = [
        configure('--cfg-options', f'demo.train={count}').train_dataloader.dataset.data_root
        for count in (2, 4)
    ]
    assert roots == ['data/demo_2_1_64/coco', 'data/demo_4_1_64/coco']
    assert all((tmp_path / root).is_dir() for root in roots)


def test_a_loss_that_is_nan_ends_the_training(configure, monkeypatch, tmp_path):
    options = ('demo.lr=1e30', 'demo.train=8', 'demo.epochs=2')
    monkeypatch.setattr(
        sys,
        'argv',
        ['train.py', 'tiny.py', '--demo', '--work-dir', 'work', '--cfg-options', *options],
    )
    with pytest.raises(
        SystemExit, match=r'stopped: the loss is NaN or infinite in .* with a lower'
    ):
        train.main()
    assert not list((tmp_path / 'work').glob('*.pth'))


@pytest.mark.parametrize(
    'option', ['custom_hooks=[dict(type=A,b=1)]', 'a=[(1,2', 'lr', 'x={1: f()}', 'b=[c,(d]']
)
def test_what_is_no_setting_is_one_sentence(configure, option, capsys):
    with pytest.raises(SystemExit):
        configure('--cfg-options', option)
    assert f'--cfg-options {option}: expected KEY=VALUE' in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (
            ['train_dataloader.persistent_workers=True'],
            'train_dataloader.persistent_workers needs workers, and num_workers is 0; set train_d',
        ),
        (
            ['train_dataloader.prefetch_factor=4'],
            'train_dataloader.prefetch_factor needs workers, and num_workers is 0; set train_data',
        ),
        (
            ['val_dataloader.timeout=9'],
            'num_workers is 0; set val_dataloader.timeout=0 as well',
        ),
        (
            ['train_cfg.type=IterBasedTrainLoop', 'train_cfg.max_iters=9'],
            "TrainLoop got an unexpected keyword argument 'max_epochs', which a base of this",
        ),
        (
            ['model.backbone.type=SwinTransformer'],
            'SwinTransformer takes no arch; ours is type=mmbackbones.SwinTransformer',
        ),
    ],
)
def test_common_slips_are_one_sentence(configure, options, words, capsys):
    with pytest.raises(SystemExit):
        configure('--cfg-options', *options)
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_neck_that_takes_the_maps_is_not_refused(configure):
    """Whatever its channels say: here a mapping of the last map alone."""
    neck = "model.neck={'_delete_': True, 'type': 'TestLast', 'in_channels': [128, 9]}"

    class Last(torch.nn.Module):
        def __init__(self, in_channels):
            super().__init__()
            self.conv = torch.nn.Conv2d(in_channels[0], 4, 1)

        def forward(self, maps):
            return [self.conv(maps[-1])]

    MODELS.register_module('TestLast', module=Last, force=True)
    assert configure('--cfg-options', neck)


def test_a_strategy_wants_processes(configure, capsys):
    with pytest.raises(SystemExit):
        configure('--strategy', 'fsdp')
    assert 'bash tools/dist_train.sh tiny.py NUMBER' in capsys.readouterr().err.splitlines()[-1]


def test_accumulated_batches_count_when_the_rate_is_scaled(configure):
    """Two images in each of four steps are a batch of 8 of the 16 that the rate is for."""
    cfg = configure('--auto-scale-lr', '--cfg-options', 'optim_wrapper.accumulative_counts=4')
    assert cfg.auto_scale_lr.enable
    assert cfg.train_dataloader.batch_size / cfg.auto_scale_lr.base_batch_size == 2 * 4 / 16


def test_settings_of_ddp_hold_on_cpus():
    for given, unused in (
        (dict(find_unused_parameters=True), True),
        (dict(model_wrapper_cfg=dict(find_unused_parameters=True)), True),
        ({}, False),
    ):
        cfg = Config(given)
        run_config.use_cpus(cfg)
        assert cfg.model_wrapper_cfg.find_unused_parameters == unused
        assert cfg.model_wrapper_cfg.device_ids is None
    sharded = Config(dict(model_wrapper_cfg=dict(type='MMFullyShardedDataParallel')))
    run_config.use_cpus(sharded)
    assert 'device_ids' not in sharded.model_wrapper_cfg


def test_two_trainings_do_not_share_a_work_dir(tmp_path):
    taken = pytest.raises(UsageError, match=f'^another training writes into {tmp_path}')
    with run_config.locked(tmp_path), taken:
        run_config.locked(tmp_path)
    with run_config.locked(tmp_path):
        pass


def test_what_is_said_after_an_interrupt(tmp_path, monkeypatch):
    def stop(cfg):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_config.ShortLogRunner, 'from_cfg', stop)
    cfg = Config(dict(work_dir=str(tmp_path)))
    with pytest.raises(SystemExit, match='interrupted before the first checkpoint'):
        run_config.run(cfg, 'train')
    (tmp_path / 'epoch_3.pth').touch()
    with pytest.raises(SystemExit, match=r'epoch_3.pth is the last checkpoint: .* --resume'):
        run_config.run(cfg, 'train')
