"""Configs that follow a file of mmdet or mmseg: its model, its rates, its schedule."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from demo.mode import adapt
from lib.data_checks import quick_findings
from lib.datasets import open_datasets
from mmdet.datasets import CocoPanopticDataset
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings
from shipped import config, model
from test_configs import plain
from test_convert_config import our_name, settings
from test_published_models import configs

from mmbackbones import convert_config
from mmbackbones.weights.published_dense import SAME_MODEL

# What a training is, but for names of tensors and for the checkpoints that are kept.
SAME = (
    'model',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'custom_hooks',
    'train_dataloader',
    'val_dataloader',
    'val_evaluator',
)
# Of 4 GPUs x 32 or 16 images, by the names of their files, which have the 16 of other methods.
BATCHES = {'rtmdet_swin_b': 128, 'rtmdet_swin_b_p6': 64}
DEFAULTS = dict(
    window_size=7,
    in_channels=3,
    out_indices=[0, 1, 2, 3],
    frozen_stages=-1,
    with_cp=False,
)
QUICK = re.compile('mask2former.*_t|dino.*_l|rtmdet.*_b')
every_recipe = pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[] if QUICK.fullmatch(name) else pytest.mark.slow)
        for name in SAME_MODEL
    ],
)


def theirs(name):
    """Their config. That label 0 is no class stands with the loading there, with the data here."""
    cfg = Config.fromfile(configs(SAME_MODEL[name]))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for step in loader.dataset.pipeline:
            if step.pop('reduce_zero_label', False):
                loader.dataset.reduce_zero_label = True
    return cfg


@every_recipe
def test_their_files_fit_strictly_with_the_same_rates_and_decays(name, linspace_on_cpu):
    cfg, ours = theirs(name), model(name)
    cfg.model.backbone.pop('init_cfg')
    import_modules_from_strings(f'{cfg.default_scope}.models')
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        old = ROOT_MODELS.build(cfg.model)
    before, after = settings(old, cfg), settings(ours, config(name))
    assert {our_name(tensor): value for tensor, value in before.items()} == after
    ours.load_state_dict(old.state_dict(), strict=True)


@every_recipe
def test_settings_are_theirs(name):
    ours, wanted = plain(config(name).to_dict()), plain(convert_config(theirs(name)).to_dict())
    weights = [
        Path(cfg['model']['backbone'].pop('init_cfg')['checkpoint']) for cfg in (ours, wanted)
    ]
    assert weights[1].stem.startswith(weights[0].stem)  # mmseg's copy has a date behind it
    for cfg in (ours, wanted):
        cfg['model']['backbone'] = DEFAULTS | cfg['model']['backbone']
        del cfg['optim_wrapper']['paramwise_cfg']
    assert {key: ours.get(key) for key in SAME} == {key: wanted.get(key) for key in SAME}
    batch = BATCHES.get(name, wanted['auto_scale_lr']['base_batch_size'])
    assert ours['auto_scale_lr']['base_batch_size'] == batch


def test_panoptic_files_are_read_as_such(tmp_path):
    cfg = copy.deepcopy(config('mask2former_panoptic_swin_t'))
    folder = tmp_path / 'annotations'
    folder.mkdir()
    things, stuff = (CocoPanopticDataset.METAINFO[f'{kind}_classes'] for kind in ('thing', 'stuff'))
    names = [*things, *stuff]
    categories = [dict(id=i, name=n, isthing=int(n in things)) for i, n in enumerate(names, 1)]
    for split in ('train', 'val'):
        (tmp_path / f'{split}2017').mkdir()
        (tmp_path / f'{split}2017/1.jpg').touch()
        segments = [dict(id=7, category_id=1, iscrowd=0, bbox=[0, 0, 40, 40], area=1600)]
        annotations = [dict(image_id=1, file_name='1.png', segments_info=segments)]
        images = [dict(id=1, file_name='1.jpg', width=64, height=64)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (folder / f'panoptic_{split}2017.json').write_text(json.dumps(content))
        cfg[f'{split}_dataloader'].dataset.data_root = str(tmp_path)
    loaders = ('train_dataloader', 'val_dataloader')
    assert not [*quick_findings(cfg, open_datasets(cfg, loaders))]
    segments[0]['bbox'] = [0, 0, 40]
    (folder / 'panoptic_val2017.json').write_text(json.dumps(content))
    (finding,) = quick_findings(cfg, open_datasets(cfg, loaders))
    assert 'panoptic_val2017.json: CocoPanopticDataset cannot read it (ValueError' in finding.text


@pytest.mark.parametrize('panoptic', [False, True])
def test_a_demo_of_either_is_evaluated_by_its_instances(panoptic):
    name = 'mask2former_panoptic_swin_t' if panoptic else 'mask2former_swin_t'
    cfg = copy.deepcopy(config(name))
    demo = adapt(cfg)
    assert cfg.val_evaluator.ann_file == f'{demo.root}/coco/annotations/instances_val2017.json'
    assert cfg.val_dataloader.dataset.ann_file == 'annotations/instances_val2017.json'
    assert cfg.default_hooks.checkpoint.save_best == 'coco/segm_mAP'
    head = cfg.model.panoptic_head
    assert (head.num_things_classes, head.num_stuff_classes) == (80, 0)
    assert len(head.loss_cls.class_weight) == 81
    assert cfg.model.data_preprocessor.batch_augments[0].size == (160, 160)


def test_what_pipelines_pad_the_model_pads_in_a_demo():
    divisors = []
    for name in ('rtmdet_swin_b_p6', 'dino_4scale_swin_t'):
        cfg = copy.deepcopy(config(name))
        adapt(cfg)
        divisors.append(cfg.model.data_preprocessor.pad_size_divisor)
        assert 'Pad' not in str([cfg.test_dataloader.dataset.pipeline, cfg.get('tta_pipeline')])
    assert divisors == [64, 1]
