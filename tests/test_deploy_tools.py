"""Tools take files of whole models: the metrics of a dataset, pictures, seconds per picture."""

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('mmdet.models')
pytest.importorskip('mmseg.models')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnx')

import cv2
import numpy as np
from demo.dataset import make_demo_set
from deploy_files import FOUND, write, write_segmenter
from lib import quantization
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import save_checkpoint
from pycocotools.coco import COCO

ROOT = Path(__file__).parent.parent
AS_IT_IS = dict(scale=None, keep_ratio=True)
DATA = "demo = dict(root='{folder}/demo', train=2, val=1, size=64)\n_base_ = '{base}'\n"
ARCH = dict(dims=[8, 16, 32, 64], depths=(1, 1, 1, 1), heads=(1, 1, 2, 4))
TINY = f"""
model = dict(
    backbone=dict(arch=dict(_delete_=True, **{ARCH})),
    decode_head=dict(in_channels=[8, 16, 32, 64], channels=8),
    auxiliary_head=dict(in_channels=32, channels=8),
)
"""


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """A folder with a detector's and a segmenter's config, and a demo set of one test image."""
    folder = tmp_path_factory.mktemp('work')
    make_demo_set(folder / 'demo', train=2, val=1, size=64)
    for name, base, text in (('det', 'mask_rcnn', ''), ('seg', 'upernet', TINY)):
        head = DATA.format(folder=folder, base=ROOT / f'configs/{base}_swin_t.py')
        (folder / f'{name}.py').write_text(head + text)
    return folder


@pytest.fixture
def here(work, tmp_path, monkeypatch):
    """An empty folder, in which tools run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def truth_of_objects(work):
    """What a perfect detector of the test image finds."""
    coco = COCO(next((work / 'demo/coco/annotations').glob('*val2017.json')))
    numbers = {number: label for label, number in enumerate(sorted(coco.cats))}
    objects = [each for each in coco.anns.values() if not each.get('iscrowd')]
    boxes = np.array([each['bbox'] for each in objects], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return dict(
        boxes=boxes,
        scores=np.linspace(0.9, 0.5, len(objects), dtype=np.float32),
        labels=np.array([numbers[each['category_id']] for each in objects]),
        masks=np.stack([coco.annToMask(each).astype(bool) for each in objects]),
    )


def test_a_perfect_detector_has_an_ap_of_1(work, here, call_tool):
    classes = list(map(str, range(80)))
    about = dict(task='instance', masks='image', classes=classes, resize=AS_IT_IS)
    write(here / 'perfect.onnx', truth_of_objects(work), **about)
    words = '--demo', '--work-dir', 'tested', '--out', 'kept.pkl', '--show-dir', 'shown'
    code, _, errors = call_tool('test', work / 'det.py', 'perfect.onnx', *words)
    assert code == 0, errors
    scores = json.loads(next(Path('tested').glob('*/*.json')).read_text())
    assert scores['coco/bbox_mAP'] == scores['coco/segm_mAP'] == 1
    assert Path('kept.pkl').is_file()
    assert len(list(Path('shown').rglob('*.*'))) == 1, errors


def truth_of_pixels(work):
    """The classes of the test image's pixels; what belongs to none is of class 0."""
    (path,) = work.glob('demo/**/annotations/validation/*.png')
    return np.maximum(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(int) - 1, 0)


def save_random(config, path):
    """A checkpoint of a segmenter with random weights."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(Config.fromfile(config).model)
    save_checkpoint(dict(state_dict=model.state_dict()), path)


def test_a_perfect_segmenter_beside_a_checkpoint(work, here, call_tool):
    pytest.importorskip('openvino')
    classes = list(map(str, range(150)))
    about = dict(task='semantic', classes=classes, resize=AS_IT_IS)
    write(here / 'x.onnx', dict(classes=truth_of_pixels(work).astype(np.uint8)), **about)
    openvino = importlib.import_module('openvino')
    openvino.save_model(openvino.convert_model(here / 'x.onnx'), here / 'perfect.xml')
    save_random(work / 'seg.py', 'w.pth')
    words = '--demo', '--work-dir', 'tested', '--out', 'kept'
    code, said, errors = call_tool('test', work / 'seg.py', 'perfect.xml', 'w.pth', *words)
    assert code == 0, errors
    table = said[said.index('perfect.xml  ') :]
    (row,) = [line.split() for line in table.splitlines() if line.startswith('mIoU')]
    first, second, difference = map(float, row[1:])
    assert first == 100
    assert 0 <= second < 50
    assert difference == pytest.approx(first - second, abs=1e-3)
    (kept,) = Path('kept').glob('*.png')  # of the file, not of the checkpoint
    found = cv2.imread(str(kept), cv2.IMREAD_UNCHANGED)
    assert (found == truth_of_pixels(work) + 1).all()


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        ('none.onnx', 'there is no file none.onnx'),
        ('x.onnx --amp', '--amp, --tta and --launcher are for checkpoints; x.onnx is as it is'),
        ('x.onnx --launcher pytorch', 'are for checkpoints'),
        ('w.pth v.pth', 'v.pth comes after a file .onnx or .xml'),
        ('x.onnx none.pth', 'there is no checkpoint none.pth'),
        ('x.onnx', 'has 3 classes and the dataset of the config 80; take the config'),
    ],
)
def test_what_cannot_be_tested_is_one_sentence(words, sentence, work, here, call_tool):
    write(here / 'x.onnx', FOUND)
    config = work / 'det.py', '--demo', '--work-dir', 'tested'
    code, _, errors = call_tool('test', config[0], *words.split(), *config[1:])
    assert sentence in (code if isinstance(code, str) else errors)


def test_a_file_draws_pictures_and_keeps_what_it_finds(here, call_tool):
    write(here / 'x.onnx', FOUND)
    (here / 'in').mkdir()
    shutil.copy(ROOT / '.github/demo_set.jpg', here / 'in/a.jpg')
    (here / 'in/b.jpg').write_bytes(b'none')
    code, said, errors = call_tool('image_demo', 'in', 'x.onnx', '--pred-out', 'found.json')
    assert (code, said.split()) == (0, ['outputs/a.jpg', 'found.json'])
    assert 'passed over: in/b.jpg is damaged or no image' in errors
    (entry,) = json.loads(Path('found.json').read_text())
    rows = [(row['class'], round(row['score'], 2)) for row in entry['predictions']]
    assert rows == [('dog', 0.9), ('bird', 0.2)]
    before, after = (cv2.imread(path) for path in ('in/a.jpg', 'outputs/a.jpg'))
    changed = np.abs(before.astype(int) - after).max(2) > 40
    left, top, right, _ = map(round, entry['predictions'][0]['bbox'])
    border = changed[top - 1 : top + 3, left + 99 : right - 9].any(0)
    assert border.mean() > 0.9  # of the dog
    assert not changed[:40].any()  # the bird is below the threshold


def test_a_segmenter_s_file_draws_videos(here, call_tool):
    classes = list(map(str, range(256)))
    write_segmenter(here / 'x.onnx', classes=classes)
    video = cv2.VideoWriter('in.avi', cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for level in (0, 200):
        video.write(np.full((48, 64, 3), level, np.uint8))
    video.release()
    code, said, errors = call_tool('image_demo', 'in.avi', 'x.onnx', '--pred-out', 'found.json')
    assert (code, said.split()[0]) == (0, 'outputs/in.avi'), errors
    first, second = json.loads(Path('found.json').read_text())
    assert first['predictions'][0]['label'] < 10 < 190 < second['predictions'][0]['label']
    assert cv2.imread(first['map'], cv2.IMREAD_UNCHANGED).shape == (48, 64)


@pytest.mark.parametrize('words', ['--weights w.pth', '--demo', '--cfg-options a=1'])
def test_a_file_has_its_own_weights_and_scale(words, here, call_tool):
    write(here / 'x.onnx', FOUND)
    picture = ROOT / '.github/demo_set.jpg'
    code, _, errors = call_tool('image_demo', picture, 'x.onnx', *words.split())
    assert code == 2
    assert 'x.onnx has its weights and scale: leave out --weights' in errors


def test_metrics_of_a_file_in_int8_stand_beside_those_in_float32(
    work, here, call_tool, monkeypatch
):
    """The files stand for both; the tool that shows them runs here, on the demo set."""
    about = dict(task='semantic', classes=list(map(str, range(150))), resize=AS_IT_IS)
    truth = truth_of_pixels(work).astype(np.uint8)
    write(here / 'float32.onnx', dict(classes=truth), **about)
    write(here / 'int8.onnx', dict(classes=np.where(truth == truth[0, 0], 149, truth)), **about)
    said = []

    def run(command):
        code, out, errors = call_tool('test', *command[2:], '--demo')
        said.append(out)
        return SimpleNamespace(returncode=code, errors=errors)

    monkeypatch.setattr(quantization, 'subprocess', SimpleNamespace(run=run))
    args = SimpleNamespace(model=str(work / 'seg.py'), cfg_options={})
    quantization.test(here / 'int8.onnx', here / 'float32.onnx', here, args)
    (row,) = [line.split() for line in said[0].splitlines() if line.startswith('mIoU  ')]
    first, second, difference = map(float, row[1:])
    assert second == 100
    assert first < 100
    assert difference == pytest.approx(first - second, abs=1e-3)
    with pytest.raises(SystemExit, match=r'none\.onnx is in float32'):
        quantization.test(here / 'int8.onnx', here / 'none.onnx', here, args)


def test_the_benchmark_times_files_beside_mm_s_model(work, here, call_tool):
    pytest.importorskip('openvino')
    write_segmenter(here / 'x.onnx')
    words = '--shape', '40x50', '--rounds', 2, '--batch', 2, '--out', 'f.json'
    (here / 'seg.py').write_text((work / 'seg.py').read_text())
    code, said, errors = call_tool('benchmark', 'x.onnx', '--config', 'seg.py', *words)
    assert code == 0, errors
    assert 'x.onnx, 40 x 50, batch 2' in said
    figures = json.loads(Path('f.json').read_text())['figures']
    assert list(figures) == ['onnxruntime', 'openvino', 'eager']
    for row in figures.values():
        assert row['median'] == pytest.approx(np.median(row['seconds']) / 2)
    assert figures['eager']['ratio'] == pytest.approx(np.median(figures['eager']['ratios']))
    code, said, _ = call_tool('benchmark', 'x.onnx', '--backend', 'openvino', *words[:-2])
    assert (code, 'onnxruntime' in said) == (0, False)


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        ('none.onnx', 'there is no file none.onnx'),
        ('Sixth', 'Sixth is neither a file .onnx or .xml nor one of Container, DaViT'),
        ('DaViT --config c.py', '--config is for a file .onnx or .xml, and DaViT is a class'),
        ('x.onnx --mode training', 'onnxruntime, openvino: inference in float32 on the cpu only'),
        ('x.onnx --config none.py', 'none.py'),
    ],
)
def test_what_cannot_be_timed_is_one_sentence(words, sentence, here, call_tool):
    write(here / 'x.onnx', FOUND)
    code, _, errors = call_tool('benchmark', *words.split())
    assert sentence in (code if isinstance(code, str) else errors)
