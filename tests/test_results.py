"""tools/results.py: from the logs and configs in work dirs to a page and plots."""

import json
import sys

import cv2
import pytest
import results
from matplotlib.text import Text

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from lib.flops import build, parameters
from mmengine.config import Config
from test_configs import ROOT

SMALL = dict(dims=(16, 32, 64, 128), depths=(1, 1, 1, 1), heads=(1, 2, 4, 8))


def config(name, width=1):
    """A shipped config with a small Swin; of another name and width, for another backbone."""
    cfg = Config.fromfile(ROOT / f'{name}.py')
    dims = [width * dim for dim in SMALL['dims']]
    cfg.model.backbone.arch = dict(SMALL, dims=dims)
    if 'neck' in cfg.model:
        cfg.model.neck.in_channels = dims[1:]
    else:
        cfg.model.decode_head.update(in_channels=dims, channels=16)
        cfg.model.auxiliary_head.in_channels = dims[2]
    for step in cfg.test_dataloader.dataset.pipeline:
        step.update({'scale': (96, 64)} if step.type == 'Resize' else {})
    return cfg


def train(folder, cfg, metrics, seconds=(0.5, 0.3, 0.4)):
    """What a training leaves behind."""
    logs = folder / '20260101_000000' / 'vis_data'
    logs.mkdir(parents=True)
    cfg.dump(str(logs / 'config.py'))
    rows = [dict(step=10 * i, loss=1.0, time=t, iter=10 * i) for i, t in enumerate(seconds, 1)]
    rows += [{'step': 1, **{name: value / 2 for name, value in metrics.items()}}] if metrics else []
    rows += [{'step': 2, **metrics}] if metrics else []
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))


@pytest.fixture
def collect(tmp_path, monkeypatch, capsys):
    """Runs the tool; (its page, the texts of its plots)."""
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
        assert page in capsys.readouterr().out
        return page.splitlines(), texts

    monkeypatch.setattr(results, 'draw', drawn)
    return run


def test_trainings_become_a_page_and_plots(collect, tmp_path):
    cfg = config('retinanet_swin_t')
    train(tmp_path / 'runs/a', cfg, {'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5})
    wide = config('retinanet_swin_t', 2)
    wide.model.backbone.type = 'mmbackbones.SwinTransformerV2'
    wide.model.backbone.arch.norm_every = None
    train(tmp_path / 'runs/b', wide, {'coco/bbox_mAP': 0.35, 'coco/bbox_mAP_50': 0.7})
    train(tmp_path / 'runs/c', config('upernet_swin_t'), {'mIoU': 41.5, 'aAcc': 80})
    longer = {'coco/bbox_mAP': 0.45, 'coco/bbox_mAP_50': 0.8}
    train(tmp_path / 'runs/d', cfg, longer, seconds=[0.3] * 5)
    (tmp_path / 'runs/notes').mkdir()
    tested = tmp_path / 'runs/a/20260102_000000/vis_data'  # as a test leaves it
    tested.mkdir(parents=True)
    (tested / 'config.py').write_text('model = dict()')
    (tested / 'scalars.json').write_text(
        '{"coco/bbox_mAP": 0.25, "coco/bbox_mAP_50": 0.5, "step": 0}'
    )
    page, texts = collect('runs')
    assert page[0] == (
        '**RetinaNet**, 30 steps of 2 images per process from data/coco; FLOPs at 64 x 96'
    )
    first, second = (row.strip('| ').split(' | ') for row in page[4:6])
    assert first[:4] == ['SwinTransformerV2', '0.35', '0.7', '0.30']  # the best first
    assert second[:4] == ['SwinTransformer', '0.25', '0.5', '0.30']
    assert float(second[4]) == round(parameters(build(cfg)) / 1e6, 1)
    assert float(second[4]) < float(first[4])
    assert float(second[5]) > 0
    assert page[7].startswith('**UPerHead**')
    assert page[11].startswith('| SwinTransformer | 41.5 | 80 | 0.30 |')
    assert page[13].startswith('**RetinaNet**, 50 steps')  # a table for each budget
    assert {'SwinTransformerV2', 's / step', 'FLOPs, G', 'RetinaNet\ncoco/bbox_mAP'} <= set(texts)
    picture = cv2.imread(str(tmp_path / 'outputs/results/results.png'))
    assert picture.shape == (1020, 1200, 3)
    assert picture.std() > 10


def test_what_cannot_be_collected_is_one_sentence(collect, tmp_path, capsys):
    train(tmp_path / 'young', config('retinanet_swin_t'), {})
    wrong = {
        'none': 'none has no */vis_data',
        'young': 'no metric yet',
        __file__: 'is a file; give',
    }
    for folder, words in wrong.items():
        with pytest.raises(SystemExit):
            collect(folder)
        assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_metric_that_some_runs_lack_leaves_its_place_empty():
    costs = dict.fromkeys(results.COSTS, 1.0)
    both = results.Run('M', 'A', 'all', costs, {'coco/bbox_mAP': 0.5, 'coco/segm_mAP': 0.25})
    one = results.Run('M', 'B', 'all', costs, {'coco/bbox_mAP': 0.25})
    rows = [row.split(' | ') for row in results.page([both, one]).splitlines()[2:]]
    assert rows[0][1:3] == ['bbox_mAP', 'segm_mAP']
    assert rows[3][1:4] == ['0.25', '-', '1.00']
