"""Configs take training steps, and the tools train, resume, test and draw, on a small demo set."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
ENVIRONMENT = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
DIMS, HEADS = [16, 32, 64, 128], [1, 2, 4, 8]
SMALL = dict(train=8, val=2, size=64, batch_size=4, epochs=2)


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """A folder with small configs of a detector and a segmenter."""
    folder = tmp_path_factory.mktemp('work')
    head = f"demo = {SMALL}\n_base_ = '{ROOT}/configs/"
    backbone = (
        f'backbone=dict(arch=dict(_delete_=True, dims={DIMS}, depths=(1, 1, 1, 1), heads={HEADS}))'
    )
    scores = 'test_cfg=dict(rcnn=dict(score_thr=0.0))'
    detector = f'model = dict({backbone}, neck=dict(in_channels={DIMS}), {scores})\n'
    heads = f'decode_head=dict(in_channels={DIMS}), auxiliary_head=dict(in_channels=64)'
    (folder / 'det.py').write_text(f"{head}mask_rcnn_swin_t.py'\n{detector}")
    (folder / 'seg.py').write_text(f"{head}upernet_swin_t.py'\nmodel = dict({backbone}, {heads})\n")
    return folder


def command(tool, *arguments):
    return [sys.executable, str(ROOT / 'tools' / tool), *map(str, arguments)]


def run(folder, tool, *arguments):
    """Run a tool to its end; the folder holds the demo set and the work dirs."""
    return subprocess.run(
        command(tool, *arguments), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )


def scalars(work_dir):
    """{step: loss} of all logs of a run."""
    rows = [
        json.loads(line)
        for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
        for line in log.read_text().splitlines()
    ]
    return {row['step']: row['loss'] for row in rows if 'loss' in row}


EACH_STEP = ['--cfg-options', 'default_hooks.logger.interval=1', 'log_processor.window_size=1']


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_every_config_takes_a_step_on_the_demo_set(path, tmp_path_factory):
    from demo_mode import to_demo

    cfg = Config.fromfile(path)
    cfg.demo = dict(SMALL, batch_size=2, root=str(tmp_path_factory.getbasetemp() / 'demo'))
    to_demo(cfg)
    cfg.update(work_dir=str(tmp_path_factory.mktemp('step')), log_level='ERROR')
    shorten(cfg.model.backbone)
    runner = Runner.from_cfg(cfg)
    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    optimizer = runner.build_optim_wrapper(cfg.optim_wrapper)
    model = runner.model.train()
    weight = next(model.backbone.stem.parameters())
    before, idle = weight.clone(), {n for n, p in model.named_parameters() if p.requires_grad}
    for parameter, p in model.named_parameters():
        if p.requires_grad:
            p.register_post_accumulate_grad_hook(lambda _, n=parameter: idle.discard(n))
    losses = model.train_step(batch, optimizer)
    assert not idle  # distributed training waits for every gradient
    assert all(value.isfinite().all() for value in losses.values())
    assert not torch.equal(before, weight)


def shorten(backbone):
    """One block per stage, of the widths that the config asks for."""
    from mmbackbones.registry import MODELS

    numbers = MODELS.get(backbone.type).archs[backbone.arch]
    backbone.arch = dict(numbers, depths=(1,) * len(numbers['depths']))


def test_killed_training_resumes_with_the_same_losses(work):
    whole = run(work, 'train.py', 'det.py', '--demo', '--work-dir', 'whole', *EACH_STEP)
    assert whole.returncode == 0, whole.stderr[-2000:]
    arguments = ('det.py', '--demo', '--work-dir', 'killed')
    process = subprocess.Popen(
        command('train.py', *arguments, *EACH_STEP),
        cwd=work,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(work / 'killed/last_checkpoint', process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (work / 'killed/epoch_2.pth').exists()
    resumed = run(work, 'train.py', *arguments, '--resume', *EACH_STEP)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert scalars(work / 'killed') == pytest.approx(scalars(work / 'whole'), rel=1e-6)
    assert sorted(scalars(work / 'whole')) == [1, 2, 3, 4]


def wait_for(path, process, seconds=120):
    """Until the file is there; fails if the process ends or takes too long."""
    end = time.time() + seconds
    while not path.exists():
        assert process.poll() is None
        assert time.time() < end
        time.sleep(0.01)


def test_testing_draws_and_keeps_predictions_of_a_detector(work):
    checkpoint = 'whole/epoch_2.pth'
    extra = ('--show-dir', 'drawn', '--out', 'predictions.pkl', '--work-dir', 'tested')
    done = run(work, 'test.py', 'det.py', checkpoint, '--demo', *extra)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'coco/segm_mAP_50' in done.stdout + done.stderr
    check_pictures(sorted((work / 'drawn').glob('*.jpg')))
    predictions = pickle.loads((work / 'predictions.pkl').read_bytes())
    assert len(predictions) == SMALL['val']
    curve = run(work, 'analyze_logs.py', 'whole')
    assert 'coco/bbox_mAP_50' in curve.stdout
    assert cv2.imread(str(work / 'whole/curve.png')).std() > 5


def check_pictures(paths):
    """One picture per held-out image: ground truth beside predictions, and not blank."""
    assert len(paths) == SMALL['val']
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture.shape[1] == 2 * picture.shape[0]
        assert picture.std() > 5


def test_a_segmenter_trains_and_tests_with_the_same_tools(work):
    done = run(work, 'train.py', 'seg.py', '--demo', '--auto-scale-lr', '--work-dir', 'seg')
    assert done.returncode == 0, done.stderr[-2000:]
    extra = ('--show-dir', 'seg_drawn', '--out', 'seg_out', '--work-dir', 'seg_tested')
    done = run(work, 'test.py', 'seg.py', 'seg/epoch_2.pth', '--demo', *extra)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'mIoU' in done.stdout + done.stderr
    assert len(list((work / 'seg_out').glob('*.png'))) == SMALL['val']
    check_pictures(sorted((work / 'seg_drawn').rglob('*.png')))


def test_test_time_augmentation(work):
    done = run(work, 'test.py', 'seg.py', 'seg/epoch_2.pth', '--demo', '--tta', '--work-dir', 'tta')
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'mIoU' in done.stdout + done.stderr
    done = run(work, 'test.py', 'det.py', 'whole/epoch_2.pth', '--demo', '--tta')
    assert done.returncode == 2
    assert 'mmdet merges boxes alone' in done.stderr


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['train.py', 'det.py'], ['data/coco/annotations/instances_train2017.json is missing']),
        (['train.py', 'seg.py'], ['data/ade/ADEChallengeData2016/images/training is missing']),
        (['train.py', 'none.py'], ['there is no config none.py']),
        (['test.py', 'det.py', 'none.pth', '--demo'], ['there is no checkpoint none.pth']),
        (['analyze_logs.py', 'nowhere'], ['nowhere has no */vis_data/scalars.json']),
        (['train.py', 'det.py', '--demo', '--resume', 'no.pth'], ['there is no checkpoint no.pth']),
    ],
)
def test_mistakes_get_one_sentence(work, arguments, words):
    done = run(work, *arguments)
    assert done.returncode == 2
    message = done.stderr.strip().splitlines()[-1]
    assert all(word in message for word in words)
    assert 'Traceback' not in done.stderr
    if 'is missing' in words[0]:
        assert '--demo' in message
        assert 'https://' in message


@pytest.mark.parametrize('tool', ['train.py', 'test.py', 'demo_set.py', 'analyze_logs.py'])
def test_help_has_an_example(work, tool):
    done = run(work, tool, '--help')
    assert done.returncode == 0
    assert f'python tools/{tool}' in done.stdout
