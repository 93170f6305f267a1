"""The examples of configs/README.md for one's own data hold for data as the page describes them."""

import json
import re
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import check_data
import train
from lib.usage import run_tool
from mmengine.config import Config
from small_configs import CONFIGS
from test_check_data import annotation

PAGE = (CONFIGS / 'README.md').read_text()
EXAMPLES = dict(re.findall(r'```python\n# (\w+\.py): .*?\n(.*?)```', PAGE, re.S))
METHOD = re.search(r'```python\n# sparse_rcnn_davit_t\.py\n(.*?)```', PAGE, re.S)[1]


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The folder of somebody with such data, and with the examples as they stand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').symlink_to(CONFIGS)
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    write_cells(tmp_path / 'data/cells')
    write_fields(tmp_path / 'data/fields')
    return tmp_path


def write_cells(folder):
    """As the page lays them out."""
    (folder / 'annotations').mkdir(parents=True)
    (folder / 'images').mkdir()
    cv2.imwrite(str(folder / 'images/a.png'), np.zeros((40, 64, 3), np.uint8))
    categories = [dict(id=1, name='cell'), dict(id=2, name='nucleus')]
    images = [dict(id=1, file_name='a.png', width=64, height=40)]
    content = dict(images=images, annotations=[annotation(1)], categories=categories)
    for split in ('train', 'val'):
        (folder / f'annotations/{split}.json').write_text(json.dumps(content))


def write_fields(folder):
    """As the page lays them out."""
    for split in ('train', 'val'):
        for kind in ('images', 'maps'):
            (folder / kind / split).mkdir(parents=True)
        cv2.imwrite(str(folder / f'images/{split}/a.jpg'), np.zeros((40, 64, 3), np.uint8))
        labels = np.arange(64, dtype=np.uint8)[None].repeat(40, 0) % 3
        cv2.imwrite(str(folder / f'maps/{split}/a.png'), labels)


def test_a_method_of_mm_gets_a_backbone_in_three_lines(tmp_path):
    (tmp_path / 'sparse.py').write_text(METHOD)
    model = Config.fromfile(tmp_path / 'sparse.py').model
    assert (model.type, model.backbone.type) == ('SparseRCNN', 'mmbackbones.DaViT')
    assert model.backbone.init_cfg.checkpoint.startswith('https://')
    assert model.neck.in_channels == [96, 192, 384, 768]
    assert 'depth' not in model.backbone


def test_there_are_both_examples():
    assert sorted(EXAMPLES) == ['cells.py', 'fields.py']


@pytest.mark.parametrize('name', EXAMPLES)
def test_the_examples_train_on_such_data(name, work, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['check_data.py', name])
    check_data.main()
    assert capsys.readouterr().out.splitlines()[-1].startswith('no fault in train_dataloader')
    monkeypatch.setattr(train, 'check_checkpoint', lambda source: source)
    monkeypatch.setattr(sys, 'argv', ['train.py', name])
    cfg = run_tool(train.command_line, train.configure)
    assert cfg.train_dataloader.dataset.metainfo.classes == cfg.classes
    if name == 'cells.py':
        (hook,) = [each for each in cfg.custom_hooks if 'WholeCheckpoint' in each['type']]
        assert hook['new'] == ['roi_head.bbox_head', 'roi_head.mask_head']


def test_the_size_of_ones_own_is_one(work):
    (text,) = re.findall(
        r'```python\n(model = dict\(\n    backbone=dict\(\n        arch=.*?)```', PAGE, re.S
    )
    (work / 'own.py').write_text(f"_base_ = 'configs/mask_rcnn_swin_t.py'\n{text}")
    assert Config.fromfile('own.py').model.backbone.arch.depths == (2, 2, 6, 2)
