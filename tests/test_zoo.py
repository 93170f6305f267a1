"""What others published: it is listed, fits our configs tensor by tensor, and is fetched."""

import argparse
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import convert_config
import image_demo
import test as test_tool
from lib.flops import build
from lib.usage import run_tool
from mmengine.config import Config, DictAction
from recording import Recording
from shipped import CONFIGS, model, recent_mmdet
from small_configs import CONFIGS as FOLDER
from small_configs import DETECTOR
from test_published_models import configs

from mmbackbones import CheckpointError, __main__, load_checkpoint
from mmbackbones.registry import MODELS
from mmbackbones.weights import loading, published_dense
from mmbackbones.weights.published_dense import (
    COPIES,
    LICENCES,
    REPORTED,
    SAME_MODEL,
    SOURCES,
    find_report,
    with_published_weights,
)

NEW = 'mmdet::mm_grounding_dino/'  # some of these came with mmdet 3.5
AUTHORS = 'the authors of Swin Transformer'


@pytest.mark.parametrize('whose', REPORTED)
def test_every_row_is_a_config_with_results(whose):
    for row, (results, url) in REPORTED[whose].items():
        config = re.split(' for | with ', row)[0]
        if '::' in config:
            lacks = config.startswith(NEW) and not recent_mmdet()
            assert Path(configs(config)).is_file() or lacks
        else:
            assert config in CONFIGS or config.startswith('mmdetection/projects/')
        assert url is None or re.fullmatch(r'https://\S+\.(pth|pkl)', url)
        assert results
        assert all(0 < value < 100 for value in results.values())


def test_every_file_is_listed_once():
    urls = [url for rows in REPORTED.values() for _, url in rows.values() if url]
    assert len(set(urls)) == len(urls) == 117


def test_what_is_first_stays_first():
    """A file of others comes after those that a config had."""
    assert find_report('mask2former_swin_t')[0] == 'MMDetection'
    assert find_report('mask2former_semantic_swin_t')[0] == 'MMSegmentation'


WITH = sorted({row for files in REPORTED.values() for row in files if ' with ' in row})


@pytest.mark.parametrize('row', WITH)
def test_options_of_a_row_make_a_model_whose_parts_fit(row):
    config, _, options = re.sub(' for Cityscapes', '', row).partition(' with ')
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    options = parser.parse_args(['--cfg-options', *options.split()]).cfg_options
    cfg = Config.fromfile(FOLDER / f'{config}.py')
    for key in options:
        part = cfg
        for name in key.split('.')[:-1]:
            part = part[name]
        assert key.rpartition('.')[2] in {*part, 'window_size', 'bias'}
    cfg.merge_from_dict(options)
    with torch.device('meta'):
        channels = MODELS.build(dict(cfg.model.backbone, init_cfg=None)).out_channels
    assert list((cfg.model.get('neck') or cfg.model.panoptic_head).in_channels) == list(channels)


def test_copies_are_of_files_that_are_listed():
    for repository, (whose, row) in COPIES.items():
        assert row in REPORTED[whose]
        assert re.fullmatch('(facebook|openmmlab)/[-a-zA-Z0-9]+', repository)
    assert set(LICENCES) < set(SOURCES) == set(REPORTED)


def test_our_configs_take_the_files_of_the_same_models():
    rows = [*REPORTED['detrex'], *REPORTED['detrex, from ImageNet-22K']]
    detrex = [row for row in rows if ' ' not in row]
    authors = [name for name, (_, url) in REPORTED[AUTHORS].items() if url]
    assert set(with_published_weights()) == {*authors, *SAME_MODEL, *detrex}
    assert (len(authors), len(detrex)) == (10, 7)
    for ours, theirs in SAME_MODEL.items():
        report = find_report(f'configs/{ours}.py')
        assert report[1:] == REPORTED[report.whose][theirs]
    assert find_report('upernet_swin_l').figures == 'mIoU 52.05, mIoU (ms+flip) 53.53'
    assert published_dense.published_dense('upernet_swin_l') is None


def test_the_list_shows_all(capsys):
    __main__.main(['list', '--detectors'])
    shown = capsys.readouterr().out
    for rows in REPORTED.values():
        for config, (results, url) in rows.items():
            name, value = next(iter(results.items()))
            assert f'{config}: {name} {value}' in shown
            assert f'    {url}\n' in shown or url is None
    assert 'None' not in shown
    for ours in SAME_MODEL:
        assert f'    here: {ours}\n' in shown
    for repository in COPIES:
        assert f'    at Hugging Face: {repository}\n' in shown
    assert 'the authors of Mask2Former (CC-BY-NC-4.0), https://github.com/facebook' in shown
    assert 'not\nreproduced here' in shown


# Of a config: the recording that has the names of its backbone as its authors' repository saves
# them. Names of necks and heads are those of today.
LAYOUTS = {
    'mask_rcnn_swin_t': 'swin_tiny_dense',
    'cascade_mask_rcnn_swin_t': 'swin_tiny_dense',
    'upernet_swin_t': 'swin_tiny_dense',
    'mask_rcnn_davit_t': 'davit_tiny_dense',
    'retinanet_davit_t': 'davit_tiny_dense',
    'upernet_davit_t': 'davit_tiny_dense',
}


@pytest.mark.parametrize('name', LAYOUTS)
def test_names_and_shapes_of_the_authors_files_fit_strictly(name, monkeypatch):
    whole = model(name)
    heads = {n: t for n, t in whole.state_dict().items() if not n.startswith('backbone.')}
    keys = Recording(LAYOUTS[name]).meta['keys']
    backbone = {f'backbone.{n}': torch.empty(shape, device='meta') for n, shape, *_ in keys}
    monkeypatch.setattr(loading, 'read_checkpoint', lambda *_: heads | backbone)
    report = load_checkpoint(whole, 'theirs.pth')
    assert len(report.loaded) == len(whole.state_dict())
    assert not report.new
    backbone.popitem()
    with pytest.raises(CheckpointError, match='lacks 1 tensors'):
        load_checkpoint(whole, 'theirs.pth')


@pytest.fixture
def small(tmp_path, monkeypatch, serve):
    """A small config of a published name, whose published file a server has; its folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'cache'))
    path, served = tmp_path / 'mask_rcnn_swin_t.py', tmp_path / 'served'
    path.write_text(f'{DETECTOR}model.update(test_cfg=dict(rcnn=dict(score_thr=0.0)))\n')
    results, url = REPORTED[AUTHORS]['mask_rcnn_swin_t']
    served.mkdir()
    torch.save(
        dict(state_dict=build(Config.fromfile(path)).state_dict()), served / url.split('/')[-1]
    )
    local = f'{serve(served)}/{url.split("/")[-1]}'
    monkeypatch.setitem(REPORTED[AUTHORS], 'mask_rcnn_swin_t', (results, local))
    return tmp_path


def call(monkeypatch, words):
    monkeypatch.setattr(sys, 'argv', ['tool', *words.split()])


def test_published_is_a_checkpoint(small, monkeypatch, capsys):
    call(monkeypatch, 'mask_rcnn_swin_t.py published --demo')
    cfg = run_tool(test_tool.command_line, test_tool.configure)
    assert Path(cfg.load_from).is_relative_to(small / 'cache')
    assert 'state_dict' in torch.load(cfg.load_from)
    (small / 'mine.py').write_text("_base_ = 'mask_rcnn_swin_t.py'")
    call(monkeypatch, 'mine.py published --demo')
    with pytest.raises(SystemExit):
        run_tool(test_tool.command_line, test_tool.configure)
    sentence = 'nobody published weights for mine.py; there are some for mask_rcnn_swin_t, '
    assert sentence in capsys.readouterr().err


def test_pictures_are_drawn_with_what_is_published(small, monkeypatch, capsys):
    cv2.imwrite('a.png', np.zeros((90, 120, 3), np.uint8))
    heights = {}
    scale = ' --cfg-options test_dataloader.dataset.pipeline.1.scale=(96,64)'
    for words in ('', ' --weights random', ' --demo'):
        call(monkeypatch, f'a.png mask_rcnn_swin_t.py{words}{scale}')
        image_demo.main()
        heights[words] = len(cv2.imread('outputs/a.png'))
        said = capsys.readouterr().err
        assert ('weights: http://127.0.0.1' in said) == (words == '')
        assert ('random weights: nothing was trained' in said) == (words != '')
    assert heights == {'': 90, ' --weights random': 110, ' --demo': 110}


def test_a_converted_config_comes_with_the_address_of_its_weights(monkeypatch, tmp_path, capsys):
    name = 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py'
    call(monkeypatch, f'{name} {tmp_path / "ours.py"}')
    convert_config.main()
    assert capsys.readouterr().err == f'published weights for it: {find_report(name).url}\n'
    assert published_dense.published_dense(str(tmp_path / 'ours.py')) is None
