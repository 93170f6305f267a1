"""--demo takes any config of a detector or segmenter, whatever data it was written for."""

import copy
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('mmdet.models')
pytest.importorskip('mmseg.models')

import torch
import train
from demo import mode
from lib.usage import run_tool
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / 'configs'
DEMO = "demo = dict(root='demo', train=4, val=1, size=64, batch_size=2, epochs=1)\n"
TINY = """
numbers = dict(dims=[8, 16, 32, 64], depths=(1, 1, 1, 1), heads=(1, 1, 2, 4))
model['backbone'] = dict(arch=dict(_delete_=True, **numbers))
"""
MASKS = """
model['neck'] = dict(model.get('neck', {}), in_channels=[8, 16, 32, 64])
model.setdefault('roi_head', {}).setdefault('bbox_head', {})['fc_out_channels'] = 32
"""
MAPS = """
model['decode_head'] = dict(model.get('decode_head', {}), in_channels=[8, 16, 32, 64], channels=8)
model['auxiliary_head'] = dict(model.get('auxiliary_head', {}), in_channels=32, channels=8)
"""


def example(name):
    """The text of an example config of configs/README.md, with its base where it is."""
    text = (CONFIGS / 'README.md').read_text().split(f'# {name}.py: ')[1].split('```')[0]
    return f'# {text}'.replace("'configs/", f"'{CONFIGS}/")


def child(base, *lines):
    """The text of a config on top of a shipped one."""
    return '\n'.join([f"_base_ = '{CONFIGS / base}.py'", 'model = dict()', *lines, ''])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where the demo set lies, drawn once."""
    return tmp_path_factory.mktemp('demo')


@pytest.fixture
def configure(folder, monkeypatch):
    """What train.py --demo makes of the text of a config."""
    monkeypatch.chdir(folder)

    def function(text, *options):
        Path('own.py').write_text(text)
        monkeypatch.setattr(sys, 'argv', ['train.py', 'own.py', '--demo', *options])
        return run_tool(train.command_line, train.configure)

    return function


def learn(cfg):
    """The classes that a config's model learns in a step, and the scores of a test after it."""
    cfg.update(log_level='ERROR', experiment_name=f'{cfg.filename}{time.time()}')
    if 'roi_head' in cfg.model:
        cfg.model.test_cfg.rcnn.score_thr = 0.0  # or nothing is found yet
    runner = Runner.from_cfg(cfg)
    loader = runner.build_dataloader(cfg.train_dataloader)
    wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    losses = runner.model.train().train_step(next(iter(loader)), wrapper)
    assert all(value.isfinite().all() for value in losses.values())
    return len(loader.dataset.metainfo['classes']), runner.test()


OWN = """
coco = dict(type='CocoDataset', ann_file='a.json', metainfo=dict(classes=('a', 'b')))
coco['pipeline'] = [*_base_.train_pipeline[:-1], dict(type='mmdet.PackDetInputs')]
model['roi_head'] = dict(bbox_head=dict(num_classes=2), mask_head=dict(num_classes=2))
"""
MIXED = "dict(coco, pipeline=coco['pipeline'][:2])"
WRAPPERS = dict(
    repeat="type='RepeatDataset', times=2, dataset=coco",
    balanced="type='ClassBalancedDataset', oversample_thr=1e-3, dataset=coco",
    mixed="type='MultiImageMixDataset', pipeline=[dict(type='Mosaic', img_scale=(64, 64)), "
    f"dict(type='RandomFlip', prob=0.5), dict(type='mmdet.PackDetInputs')], dataset={MIXED}",
    concatenated="type='ConcatDataset', datasets=[coco, coco]",
    nested="type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[coco])",
)
EVALUATORS = """
val_evaluator = [
    dict(type='VOCMetric', metric='mAP'),
    dict(type='CocoMetric', metric='bbox', ann_file='a.json', classwise=True, format_only=True),
]
test_evaluator = val_evaluator
"""
PARTS = [
    f'{split}_{part}' for split in ('val', 'test') for part in ('dataloader', 'evaluator', 'cfg')
]
NOTHING = '\n'.join(f'{part} = None' for part in PARTS)
OTHERS = """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=9)
train_dataloader.update(sampler=dict(type='InfiniteSampler'), batch_sampler=None)
train_dataloader.update(collate_fn=dict(type='default_collate'))
custom_hooks = [dict(type='YOLOXModeSwitchHook')]
default_hooks = dict(checkpoint=dict(by_epoch=False, save_best='pascal_voc/mAP'))
"""


@pytest.mark.parametrize('name', ['cells', 'mask_rcnn_swin_t_nuclei'])
def test_detectors_of_ones_own_classes_learn_the_demo_set(name, configure):
    text = example(name) if name == 'cells' else child(name)
    classes, scores = learn(configure(text + DEMO + TINY + MASKS))
    assert classes == 80
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= scores.keys()


@pytest.mark.parametrize('name', ['fields', 'upernet_swin_t_aerial'])
def test_segmenters_of_ones_own_classes_learn_the_demo_set(name, configure):
    text = example(name) if name == 'fields' else child(name)
    classes, scores = learn(configure(text + DEMO + TINY + MAPS))
    assert (classes, 'mIoU' in scores) == (150, True)


def own(*lines):
    """The text of a detector of two classes, whose dataset is `coco`, on top of a shipped one."""
    return child('mask_rcnn_swin_t', OWN, *lines, DEMO, TINY, MASKS)


def test_wrapped_datasets_give_way(configure):
    plain = configure(own('train_dataloader = dict(dataset=dict(_delete_=True, **coco))'))
    assert learn(copy.deepcopy(plain))[0] == 80
    for wrapper in WRAPPERS.values():
        dataset = f'dataset=dict(_delete_=True, {wrapper})'
        lines = [f'{split}_dataloader = dict({dataset})' for split in ('train', 'val', 'test')]
        cfg = configure(own(*lines))
        for key in ('model', 'train_dataloader', 'val_evaluator', 'test_evaluator'):
            assert cfg[key] == plain[key], (wrapper, key)
        for key in ('val_dataloader', 'test_dataloader'):
            loader = cfg[key].dataset
            assert (loader.type, loader.ann_file[-12:]) == ('CocoDataset', 'val2017.json')
            names = [step['type'].split('.')[-1] for step in loader.pipeline]
            assert names == ['LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackDetInputs']


def test_of_several_metrics_the_demo_set_s_own_stays(configure):
    cfg = configure(own('train_dataloader = dict(dataset=dict(_delete_=True, **coco))', EVALUATORS))
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert dict(evaluator, ann_file='', _scope_='') == dict(
            type='CocoMetric', metric='bbox', classwise=True, ann_file='', _scope_=''
        )
        assert Path(evaluator.ann_file).parts[-3:-1] == ('coco', 'annotations')


def test_loaders_and_loops_may_be_absent_or_others(configure):
    cfg = configure(
        own('train_dataloader = dict(dataset=dict(_delete_=True, **coco))', NOTHING, OTHERS)
    )
    assert cfg.default_hooks.checkpoint.save_best == 'coco/segm_mAP'
    assert 'SwitchHook' not in str(cfg.custom_hooks)
    classes, scores = learn(cfg)
    assert classes == 80
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= scores.keys()
    Runner.from_cfg(cfg)  # which compares loaders, loops and evaluators


LAZY = """
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import DefaultSampler, RepeatDataset
from mmengine.optim import OptimWrapper
from mmseg.models import EncoderDecoder, FCNHead, SegDataPreProcessor
from torch.optim import AdamW

from mmbackbones import SwinTransformer

default_scope = None
model = dict(
    type=EncoderDecoder,
    data_preprocessor=dict(type=SegDataPreProcessor, size=(512, 512)),
    backbone=dict(
        type=SwinTransformer,
        arch=dict(dims=[8, 16, 32, 64], depths=(1, 1, 1, 1), heads=(1, 1, 2, 4)),
    ),
    decode_head=dict(
        type=FCNHead,
        in_channels=64,
        in_index=3,
        channels=8,
        num_classes=2,
        out_channels=1,
        ignore_index=0,
        loss_decode=dict(type='mmseg.CrossEntropyLoss', class_weight=[1.0, 2.0]),
    ),
    test_cfg=dict(mode='whole'),
)
pipeline = [dict(type=LoadImageFromFile), dict(type=LoadAnnotations, reduce_zero_label=False)]
data = dict(type=BaseSegDataset, metainfo=dict(classes=('no', 'yes')))
train_dataloader = dict(
    dataset=dict(
        type=RepeatDataset,
        times=3,
        dataset=dict(data, pipeline=[*pipeline, dict(type=PackSegInputs)]),
    ),
    sampler=dict(type=DefaultSampler, shuffle=True),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=0.1))
"""


def test_a_lazy_config_of_a_binary_segmenter(configure):
    cfg = configure(LAZY + DEMO)
    assert cfg.default_scope == 'mmseg'
    assert cfg.model.decode_head.loss_decode.class_weight == [1.0] * 150
    assert learn(cfg)[0] == 150


COUNTS = ('num_classes', 'num_things_classes')


def theirs(name, scope='mmdet'):
    """A config of mm's own."""
    return Config.fromfile(Path(__import__(scope).__file__).parent / '.mim/configs' / f'{name}.py')


@pytest.mark.parametrize(
    ('name', 'metric'),
    [
        ('pascal_voc/retinanet_r50_fpn_1x_voc0712', 'bbox'),
        ('openimages/retinanet_r50_fpn_32xb2-1x_openimages', 'bbox'),
        ('seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1', ['bbox', 'segm']),
        ('cityscapes/mask-rcnn_r50_fpn_1x_cityscapes', ['bbox', 'segm']),
        ('maskformer/maskformer_r50_ms-16xb1-75e_coco', ['bbox', 'segm']),
        ('yolox/yolox_s_8xb8-300e_coco', 'bbox'),
    ],
)
def test_detectors_of_mm_count_coco_s_classes(name, metric):
    cfg = theirs(name)
    mode.adapt(cfg)
    assert cfg.val_evaluator.metric == cfg.test_evaluator.metric == metric
    heads = [
        part for part in mode.parts_of(cfg.model) if {'num_classes', 'num_things_classes'} & {*part}
    ]
    assert heads
    for head in heads:
        assert head.get('num_classes', head.get('num_things_classes')) == 80
        assert head.get('num_stuff_classes', 0) == 0
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        MODELS.build(cfg.model)
    names = [
        step['type'] for step in cfg.train_dataloader.dataset.pipeline if 'Load' in step['type']
    ]
    assert names == ['LoadImageFromFile', 'LoadAnnotations']


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        (
            'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco',
            'no maps of stuff for the semantic_head of Pan',
        ),
        ('htc/htc_r50_fpn_1x_coco', 'no maps of stuff for the semantic_head of HybridTaskCascade'),
        (
            'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco',
            'segmenters of mmseg with a backbone',
        ),
    ],
)
def test_what_the_demo_has_no_data_for_is_one_sentence(name, words):
    with pytest.raises(ValueError, match=words):
        mode.adapt(theirs(name))


def test_options_are_merged_again(configure):
    options = [f'model.{part}.init_cfg.type=Pretrained' for part in ('neck', 'backbone')]
    cfg = configure(child('mask_rcnn_swin_t', DEMO, TINY, MASKS), '--cfg-options', *options)
    assert cfg.model.neck.init_cfg == cfg.model.backbone.init_cfg == dict(type='Pretrained')


@pytest.mark.parametrize(
    ('train', 'size', 'steps'),
    [(5, 4, [4]), (6, 4, [4, 2]), (1, 4, [1]), (3, 4, [3]), (2, 1, [1, 1])],
)
def test_no_batch_of_one_is_left(train, size, steps, folder):
    cfg = Config.fromfile(CONFIGS / 'upernet_swin_t.py')
    cfg.demo = dict(train=train, val=1, size=32, batch_size=size, root=str(folder / f'of_{train}'))
    mode.adapt(cfg)
    mode.draw_set(cfg)
    with DefaultScope.overwrite_default_scope('mmseg'):
        loader = Runner.build_dataloader(cfg.train_dataloader)
    assert [len(batch['inputs']) for batch in loader] == steps
    assert cfg.param_scheduler[-1].end == len(steps) * 3


@pytest.mark.parametrize(
    ('demo', 'words'),
    [
        (dict(epoch=3), 'demo has no epoch; it has root, train'),
        (dict(batch_size=0), 'demo.batch_size must be a whole number from 1, not 0'),
        (dict(train=2.5), 'demo.train must be a whole number from 1, not 2.5'),
    ],
)
def test_wrong_settings_of_the_demo(demo, words):
    cfg = Config.fromfile(CONFIGS / 'mask_rcnn_swin_t.py')
    cfg.demo = demo
    with pytest.raises(ValueError, match=words):
        mode.adapt(cfg)


def test_what_is_no_detector_or_segmenter(configure, capsys):
    with pytest.raises(SystemExit):
        configure(f"default_scope = 'mmpretrain'\nmodel = dict(backbone=dict(type='A'))\n{DEMO}")
    assert 'detectors of mmdet and segmenters of mmseg' in capsys.readouterr().err
