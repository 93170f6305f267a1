"""tools/results.py: from what trainings leave in work dirs to a page and plots; nothing runs."""

import json
import random
import shutil
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import results
import torch
from matplotlib.text import Text

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import train
from lib import run_config, training_file
from lib.flops import build, count, parameters, passing
from lib.training_logs import FIELDS, NAME
from mmengine.config import Config
from mmengine.registry import MODELS
from shipped import ROOT
from small_configs import SEGMENTER

SMALL = dict(dims=(16, 32, 64, 128), depths=(1, 1, 1, 1), heads=(1, 2, 4, 8))
RETINANET = dict(
    method='RetinaNet',
    backbone='SwinTransformer tiny',
    data='data/coco',
    batch_size=2,
    processes=1,
    parameters=38_458_606,
    flops=6_635_851_008,
    height=64,
    width=96,
    not_counted=None,
)


def config(name):
    """A shipped config with a small Swin, for small images."""
    cfg = Config.fromfile(ROOT / f'{name}.py')
    dims = SMALL['dims']
    cfg.model.backbone.arch = SMALL
    if 'neck' in cfg.model:
        cfg.model.neck.in_channels = list(dims[-len(cfg.model.neck.in_channels) :])
    else:
        cfg.model.decode_head.update(in_channels=dims, channels=16)
        cfg.model.auxiliary_head.in_channels = dims[2]
    for step in cfg.test_dataloader.dataset.pipeline:
        step.update({'scale': (96, 64)} if step.type == 'Resize' else {})
    return cfg


def leave(folder, description, metrics, seconds=(0.5, 0.3, 0.4), day='20260101_000000'):
    """What a training leaves behind; its log dir."""
    logs = folder / day / 'vis_data'
    logs.mkdir(parents=True)
    (logs / 'config.py').write_text('resume = False\n')
    if description is not None:
        (logs / NAME).write_text(json.dumps(description))
    rows = [dict(step=10 * i, loss=1.0, time=t, iter=10 * i) for i, t in enumerate(seconds, 1)]
    rows += [{'step': 1, **{name: value / 2 for name, value in metrics.items()}}] if metrics else []
    rows += [{'step': 2, **metrics}] if metrics else []
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    return logs


@pytest.fixture
def collect(tmp_path, monkeypatch, capsys):
    """Runs the tool; (its page, the texts of its plots, its errors)."""
    monkeypatch.chdir(tmp_path)
    draw, texts = results.draw, []

    def drawn(runs):
        figure = draw(runs)
        figure.canvas.draw()
        texts.extend(text.get_text() for text in figure.findobj(Text))
        return figure

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['results.py', *map(str, arguments)])
        results.main()
        page = (tmp_path / 'outputs/results/results.md').read_text()
        said = capsys.readouterr()
        assert page in said.out
        return page.splitlines(), texts, said.err

    monkeypatch.setattr(results, 'draw', drawn)
    return run


def test_trainings_become_a_page_and_plots(collect, tmp_path):
    leave(tmp_path / 'runs/a', RETINANET, {'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5})
    wide = RETINANET | dict(backbone='MaxViT tiny', parameters=40_000_000, flops=7_000_000_000)
    leave(tmp_path / 'runs/b', wide, {'coco/bbox_mAP': 0.35, 'coco/bbox_mAP_50': 0.7})
    head = RETINANET | dict(method='UPerHead', data='data/ade')
    leave(tmp_path / 'runs/c', head, {'mIoU': 41.5, 'aAcc': 80})
    longer = {'coco/bbox_mAP': 0.45, 'coco/bbox_mAP_50': 0.8}
    leave(tmp_path / 'runs/d', RETINANET, longer, seconds=[0.3] * 5)
    leave(tmp_path / 'runs/e', RETINANET | dict(processes=8), longer)
    (tmp_path / 'runs/notes').mkdir()
    tested = tmp_path / 'runs/a/20260102_000000/vis_data'  # as a test leaves it
    tested.mkdir(parents=True)
    (tested / 'scalars.json').write_text(
        '{"coco/bbox_mAP": 0.25, "coco/bbox_mAP_50": 0.5, "step": 0}'
    )
    page, texts, errors = collect('runs')
    assert errors == ''
    assert page[0] == '**RetinaNet**, 30 steps of 2 images from data/coco; FLOPs at 64 x 96'
    first, second = (row.strip('| ').split(' | ') for row in page[4:6])
    assert first == ['MaxViT tiny', '0.35', '0.7', '0.30', '40.0', '7.0']  # the best first
    assert second == ['SwinTransformer tiny', '0.25', '0.5', '0.30', '38.5', '6.6']
    assert page[7].startswith('**UPerHead**')
    assert page[11].startswith('| SwinTransformer tiny | 41.5 | 80 | 0.30 |')
    assert page[13].startswith('**RetinaNet**, 50 steps')  # a table for each budget
    assert '30 steps of 2 images on each of 8 processes from data/coco' in page[19]
    assert {'MaxViT tiny', 's / step', 'FLOPs, G', 'RetinaNet\ncoco/bbox_mAP'} <= set(texts)
    picture = cv2.imread(str(tmp_path / 'outputs/results/results.png'))
    assert picture.shape == (1340, 1200, 3)
    assert picture.std() > 10


def test_what_cannot_be_collected_is_one_sentence(collect, tmp_path, capsys):
    leave(tmp_path / 'young', RETINANET, {})
    wrong = {
        'none': 'none has no */vis_data',
        'young': 'no metric yet',
        __file__: 'is a file; give',
    }
    for folder, words in wrong.items():
        with pytest.raises(SystemExit):
            collect(folder)
        assert words in capsys.readouterr().err.splitlines()[-1]
    leave(tmp_path / 'old', RETINANET, {'mIoU': 1.0})
    page, _, errors = collect('young', 'old')
    assert page[4].startswith('| SwinTransformer tiny | 1 |')
    assert errors.startswith('passed over: young has no step or no metric yet')


def test_a_metric_that_some_runs_lack_leaves_its_place_empty():
    costs = dict.fromkeys(results.COSTS, 1.0)
    both = results.Run('M', 'A', 'all', costs, {'coco/bbox_mAP': 0.5, 'coco/segm_mAP': 0.25})
    one = results.Run('M', 'B', 'all', costs, {'coco/bbox_mAP': 0.25})
    rows = [row.split(' | ') for row in results.page([both, one]).splitlines()[2:]]
    assert rows[0][1:3] == ['bbox_mAP', 'segm_mAP']
    assert rows[3][1:4] == ['0.25', '-', '1.00']


def test_a_value_that_is_no_number_is_the_worst():
    costs = dict.fromkeys(results.COSTS, 1.0)
    runs = [results.Run('M', name, 'all', costs, {'mIoU': value}) for name, value in VALUES.items()]
    (its,) = results.by_method(runs).values()
    assert [run.backbone for run in its] == ['good', 'bad', 'nan']


VALUES = dict(nan=float('nan'), bad=1.0, good=2.0)


def test_other_metrics_count_where_the_usual_are_missing(collect, tmp_path):
    metrics = {'pascal_voc/mAP': 0.7, 'pascal_voc/AP50': 0.7, 'data_time': 0.1}
    leave(tmp_path / 'voc', RETINANET, metrics)
    page, texts, _ = collect('voc')
    assert page[2].startswith('| backbone | pascal_voc/mAP | pascal_voc/AP50 | s / step |')
    assert 'RetinaNet\npascal_voc/mAP' in texts


def test_an_evaluation_that_found_nothing_has_no_metric(collect, tmp_path):
    leave(tmp_path / 'work', RETINANET, {'data_time': 0.1})
    page, texts, _ = collect('work')
    assert page[4] == '| SwinTransformer tiny | 0.30 | 38.5 | 6.6 |'
    assert 'RetinaNet\nno metric' in texts


def test_a_work_dir_without_a_description_has_its_name_and_no_costs(collect, tmp_path):
    leave(tmp_path / 'of before', None, {'mIoU': 40.0})
    unknown = dict.fromkeys(FIELDS) | dict(method='UPerHead', not_counted='no such operator')
    leave(tmp_path / 'uncounted', unknown, {'mIoU': 30.0})
    page, _, errors = collect('of before', 'uncounted')
    assert page[0] == '**method unknown**, 30 steps'
    assert page[4] == '| of before | 40 | 0.30 | - | - |'
    assert page[6] == '**UPerHead**, 30 steps'
    assert page[10] == '| uncounted | 30 | 0.30 | - | - |'
    assert errors.splitlines() == [
        'note: of before has no training.json, which tools/train.py writes beside the log; it '
        'stands here by its name, without parameters and FLOPs',
        'note: uncounted has no FLOPs: no such operator',
    ]


HOSTILE = {
    'an assigner that evals': """
model = dict(type='ByteTrack', tracker=dict(type='StrongSORTTracker', cmc=dict(
    type='CameraMotionCompensation', warp_mode='print', termination_criteria="RUN")))""",
    'a suppression of boxes that evals': """
model = dict(type='RetinaNet', test_cfg=dict(nms=dict(type='RUN.', iou_threshold=0.5)))""",
    'a teacher whose config runs': """
model = dict(type='KnowledgeDistillationSingleStageDetector', teacher_config='evil.py',
    backbone=dict(type='ResNet', depth=18))""",
    'a config that runs': """
import pathlib
pathlib.Path('ran').touch()
model = dict(type='RetinaNet')""",
}


@pytest.mark.parametrize('text', HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_work_dir_runs_or_is_built(collect, tmp_path, monkeypatch, text):
    code = "__import__('pathlib').Path('ran').touch()"
    (tmp_path / 'evil.py').write_text(f'{code}\nmodel = dict()\n')
    logs = leave(tmp_path / 'work', RETINANET, {'mIoU': 40.0})
    (logs / 'config.py').write_text(f'default_scope = "mmdet"{text.replace("RUN", code)}\n')
    monkeypatch.setattr(MODELS, 'build', lambda *a, **k: pytest.fail('a model is built'))
    monkeypatch.setattr(Config, 'fromfile', lambda *a, **k: pytest.fail('a config is read'))
    page, _, _ = collect('work')
    assert page[4] == '| SwinTransformer tiny | 40 | 0.30 | 38.5 | 6.6 |'
    assert not (tmp_path / 'ran').exists()


DAMAGED = {
    'deep': '[' * 60_000,
    'text': 'hello',
    'a list': '[]',
    'nothing': '',
    'no method': json.dumps({k: v for k, v in RETINANET.items() if k != 'method'}),
    'more digits than Python takes': json.dumps(RETINANET).replace('64', '9' * 5000),
    'a huge number': json.dumps(RETINANET | dict(flops=10**40)),
    'a fraction': json.dumps(RETINANET | dict(flops=1e300)),
    'NaN': json.dumps(RETINANET | dict(flops=float('nan'))),
    'infinity': json.dumps(RETINANET | dict(parameters=float('inf'))),
    'below zero': json.dumps(RETINANET | dict(parameters=-1)),
    'a number as text': json.dumps(RETINANET | dict(parameters='1')),
    'true': json.dumps(RETINANET | dict(processes=True)),
    'text as a number': json.dumps(RETINANET | dict(method=5)),
    'a dict as text': json.dumps(RETINANET | dict(backbone={})),
}


@pytest.mark.parametrize('text', DAMAGED.values(), ids=DAMAGED)
def test_a_description_that_is_none_is_one_sentence(collect, tmp_path, capsys, text):
    logs = leave(tmp_path / 'work', None, {'mIoU': 40.0})
    (logs / NAME).write_text(text)
    with pytest.raises(SystemExit):
        collect('work')
    path = logs.relative_to(tmp_path) / NAME
    wanted = f'results.py: error: {path} is not as tools/train.py writes it; leave this work dir'
    assert capsys.readouterr().err.splitlines()[-1].startswith(wanted)


def test_a_description_that_is_no_file_is_one_sentence(collect, tmp_path, capsys):
    logs = leave(tmp_path / 'work', None, {'mIoU': 40.0})
    (logs / NAME).mkdir()
    with pytest.raises(SystemExit):
        collect('work')
    assert 'is not as tools/train.py writes it' in capsys.readouterr().err


def test_names_are_plain_text_everywhere(collect, tmp_path):
    name = 'a|b \\| `$x_{$` <b> [red]\x1b[31m\nz'
    logs = leave(tmp_path / 'work', RETINANET | dict(backbone=name, data=name), {'x_{$|': 1.0})
    shutil.copytree(logs, tmp_path / 'odd \x1b[31m' / '20260101_000000' / 'vis_data')
    (tmp_path / 'odd \x1b[31m/20260101_000000/vis_data' / NAME).unlink()
    page, texts, errors = collect('work', 'odd \x1b[31m')
    row = page[4]
    assert row.startswith(r'| a\|b \\\| \`$x_{$\` \<b> \[red]?\[31m?z | 1 | 0.30 |')
    assert r'| x_{$\| |' in page[2]
    assert all(each.isprintable() for each in page)
    assert 'note: odd ?[31m has no training.json' in errors
    assert {'a|b \\| `$x_{$` <b> [red]?[31m?z', 'odd ?[31m', 'RetinaNet\nx_{$|'} <= set(texts)


def test_long_names_are_cut(collect, tmp_path):
    leave(tmp_path / 'work', RETINANET | dict(backbone='x' * 10**6), {'y' * 10**6: 1.0})
    page, _, _ = collect('work')
    assert page[4].startswith(f'| {"x" * 500} |')
    assert f'| {"y" * 500} |' in page[2]


def test_names_that_begin_with_an_underscore_are_in_the_legend(collect, tmp_path):
    leave(tmp_path / 'work', RETINANET | dict(backbone='_mine'), {'mIoU': 40.0})
    assert '_mine' in collect('work')[1]


def test_damaged_lines_of_a_log_are_left_out(collect, tmp_path):
    logs = leave(tmp_path / 'work', RETINANET, {'mIoU': 40.0})
    with (logs / 'scalars.json').open('a') as file:
        file.write('\n{"step": 40, "loss": 1.0, "time": -5}\n{"step": "50", "loss": 1.0}\n')
    page, _, errors = collect('work')
    assert page[0].startswith('**RetinaNet**, 30 steps')
    assert errors.endswith('line 6 and 1 more are cut or damaged, left out\n')
    logs = leave(tmp_path / 'untimed', RETINANET, {'mIoU': 40.0})
    text = (logs / 'scalars.json').read_text()
    (logs / 'scalars.json').write_text(text.replace('"time"', '"hours"'))
    assert collect('untimed')[0][4] == '| SwinTransformer tiny | 40 | - | 38.5 | 6.6 |'


@pytest.fixture
def describe(tmp_path):
    """What train.py writes for a config."""

    def function(cfg):
        runner = SimpleNamespace(cfg=cfg, log_dir=str(tmp_path))
        training_file.write_training_file(runner)
        return json.loads((tmp_path / 'vis_data' / NAME).read_text())

    return function


def random_states():
    return [*torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]


def test_a_training_describes_itself_and_leaves_random_numbers_alone(describe):
    cfg = config('retinanet_swin_t')
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nowhere.pth')
    before, content = random_states(), cfg.to_dict()
    found = describe(cfg)
    assert random_states() == before
    assert cfg.to_dict() == content
    model = build(cfg)
    flops = count(passing(model, 'mmdet', (64, 96)))['Global']
    wanted = dict(backbone='SwinTransformer', parameters=parameters(model), flops=round(flops))
    assert found == RETINANET | wanted
    assert list(found) == list(FIELDS)


def test_flops_of_two_stages_are_counted(describe):
    found = describe(config('mask_rcnn_swin_t'))
    assert (found['method'], found['not_counted']) == ('MaskRCNN', None)
    assert found['flops'] > 5e10  # most are those of the heads, of 1000 boxes


def test_data_of_wrappers_and_types_as_classes_are_described(describe):
    cfg = config('upernet_swin_t')
    inner = cfg.train_dataloader.dataset
    other = inner | dict(data_root='data/other/')
    both = dict(type='ConcatDataset', datasets=[inner, other, inner])
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=both)
    cfg.model.backbone.type = MODELS.get('mmbackbones.SwinTransformer')
    found = describe(cfg)
    assert found['data'] == 'data/ade/ADEChallengeData2016 and data/other'
    assert (found['method'], found['backbone']) == ('UPerHead', 'SwinTransformer')


def test_channels_are_those_of_the_first_convolution(describe):
    cfg = config('upernet_swin_t')
    three = describe(cfg)['flops']
    cfg.model.backbone.in_channels = 6
    assert describe(cfg)['flops'] > three


def test_what_cannot_be_counted_is_null_with_the_reason(describe):
    cfg = config('upernet_swin_t')
    cfg.test_dataloader.dataset.pipeline = []
    found = describe(cfg)
    assert (found['flops'], found['parameters'] > 0) == (None, True)
    assert found['not_counted'] == 'the test pipeline has no scale'
    cfg.model.decode_head.type = 'NoSuchHead'
    found = describe(cfg)
    assert (found['method'], found['parameters']) == ('NoSuchHead', None)
    assert found['not_counted'].startswith('KeyError: ')
    assert describe(Config(dict(model=None)))['not_counted']


def test_the_first_process_writes_before_the_training(tmp_path, monkeypatch):
    runner = SimpleNamespace(cfg=config('retinanet_swin_t'), log_dir=str(tmp_path))
    monkeypatch.setattr(training_file, 'is_main_process', lambda: False)
    training_file.write_training_file(runner)
    assert not any(tmp_path.iterdir())
    calls = []
    runner.train = lambda: calls.append('train')
    monkeypatch.setattr(run_config.ShortLogRunner, 'from_cfg', lambda cfg: runner)
    monkeypatch.setattr(train, 'configure', lambda *args: Config(dict(work_dir=str(tmp_path))))
    monkeypatch.setattr(train, 'keep_pages', lambda: None)
    monkeypatch.setattr(train, 'write_training_file', calls.append)
    train.train(SimpleNamespace())
    assert calls == [runner, 'train']


def test_a_training_and_its_table(call_tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = dict(train=2, val=1, size=64, batch_size=2, epochs=1, root='demo')
    options = [f'demo.{name}={value}' for name, value in options.items()]
    (tmp_path / 'tiny.py').write_text(SEGMENTER)
    call_tool('train', 'tiny.py', '--demo', '--work-dir', 'work', '--cfg-options', *options)
    _, output, errors = call_tool('results', 'work')
    assert output.startswith('**UPerHead**, 1 steps of 2 images from demo/ade; FLOPs at 64 x 64')
    assert errors == ''
