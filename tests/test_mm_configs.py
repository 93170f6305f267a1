"""The quick check refuses no config of mmdet's and mmseg's packages for its model."""

import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from lib.class_checks import model_findings
from lib.datasets import inner_datasets
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

MOST = {'mmdet': 160, 'mmseg': 30}  # that need a package or file that is not here
SPECIAL = (
    'guided_anchoring/ga-rpn_r50_fpn_1x_coco.py',
    'cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py',
    'htc/htc_r50_fpn_1x_coco.py',
    'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    'rpn/rpn_r50_fpn_1x_coco.py',
    'scnet/scnet_r50_fpn_1x_coco.py',
    'stdc/stdc1_4xb12-80k_cityscapes-512x1024.py',
    'encnet/encnet_r50-d8_4xb2-40k_cityscapes-512x1024.py',
    'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py',
)


def configs(scope):
    """Every config of a package, by its path below the folder of configs."""
    root = Path(import_module(scope).__file__).parent / '.mim/configs'
    paths = {str(path.relative_to(root)): path for path in sorted(root.rglob('*.py'))}
    return {name: path for name, path in paths.items() if '_base_' not in name}


def verdict(path, scope):
    """The faults of a model for the classes of its data, or why there is none to look for."""
    try:
        with DefaultScope.overwrite_default_scope(scope):
            cfg = Config.fromfile(path)
    except (ImportError, OSError) as error:
        return 'unread', str(error)
    if not cfg.get('model') or not cfg.get('train_dataloader'):
        return 'part', ''
    settings = inner_datasets(cfg.train_dataloader.dataset)[0]
    with (
        DefaultScope.overwrite_default_scope(cfg.get('default_scope')),
        DATASETS.switch_scope_and_registry(None) as registry,
    ):
        kind = registry.get(settings.type)
    dataset = kind.__new__(kind)  # whose files are not here
    dataset._metainfo = kind._load_metainfo(settings.get('metainfo'))
    if not dataset.metainfo.get('classes'):
        return 'no classes', ''
    found = [*model_findings(cfg, dataset, 'train_dataloader')]
    faults = [finding.text for finding in found if finding.is_fault]
    if faults:
        return 'refused', faults
    return ('unseen', found[0].text) if found else ('fine', '')


def check(scope, names):
    """What the configs are, counted; none of them may be refused."""
    every = configs(scope)
    verdicts = {name: verdict(every[name], scope) for name in names}
    assert {n: texts for n, (what, texts) in verdicts.items() if what == 'refused'} == {}
    for name, (what, text) in verdicts.items():
        if what in ('unread', 'unseen'):
            print(f'not looked at: {name}: {text[:150]}', file=sys.stderr)
    return Counter(what for what, _ in verdicts.values())


@pytest.mark.parametrize('scope', MOST)
def test_configs_with_heads_of_their_own_pass(scope):
    names = [name for name in SPECIAL if name in configs(scope)]
    assert check(scope, names) == {'fine': len(names)}


@pytest.mark.slow
@pytest.mark.parametrize('scope', MOST)
def test_every_config_passes(scope):
    every = configs(scope)
    assert len(every) > 600
    counts = check(scope, every)
    assert counts['unread'] + counts['unseen'] < MOST[scope], counts


def test_another_number_of_classes_is_refused():
    path = configs('mmdet')['faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py']
    cfg = Config.fromfile(path)
    cfg.model.roi_head.bbox_head.num_classes = 81
    kind = import_module('mmdet.datasets').CocoDataset
    dataset = kind(lazy_init=True)
    (finding,) = model_findings(cfg, dataset, 'train_dataloader')
    assert finding.text.startswith('model.roi_head.bbox_head.num_classes is 81, but')
