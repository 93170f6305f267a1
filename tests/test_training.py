"""The tools train, resume, test and draw, on a small demo set."""

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')


from small_configs import DETECTOR, SEGMENTER, small_config

from mmbackbones.weights.reading import load_from_checked_file

ROOT = Path(__file__).parent.parent
ENVIRONMENT = dict(os.environ, PYTHONPATH=f'{ROOT}:.', OMP_NUM_THREADS='1')
SMALL = dict(train=8, val=2, size=64, batch_size=4, epochs=2)


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """A folder with small configs of a detector and a segmenter."""
    folder = tmp_path_factory.mktemp('work')
    demo = f'demo.update({SMALL})\n'
    all_finds = 'model.update(test_cfg=dict(rcnn=dict(score_thr=0.0)))\n'
    (folder / 'det.py').write_text(DETECTOR + demo + all_finds)
    (folder / 'seg.py').write_text(SEGMENTER + demo)
    return folder


def run(folder, tool, *arguments, **options):
    """Run a tool to its end; the folder holds the demo set and the work dirs."""
    options.update(cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    command = [sys.executable, ROOT / 'tools' / tool, *arguments]
    return subprocess.run([str(word) for word in command], **options)


def scalars(work_dir):
    """{step: loss} of all logs of a run."""
    rows = [
        json.loads(line)
        for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
        for line in log.read_text().splitlines()
    ]
    return {row['step']: row['loss'] for row in rows if 'loss' in row}


EACH_STEP = ['--cfg-options', 'default_hooks.logger.interval=1', 'log_processor.window_size=1']


KILL = """
import os, signal
from functools import partial
from pathlib import Path
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.fileio.backends import LocalBackend

@HOOKS.register_module()
class KillWhileWriting(Hook):
    def before_train(self, runner):
        put = LocalBackend.put
        def half(self, obj, filepath):
            if Path(filepath).name != 'epoch_2.pth':
                return put(self, obj, filepath)
            put(self, obj[:len(obj) // 2], filepath)
            os.kill(os.getpid(), signal.SIGKILL)
        LocalBackend.put = half
"""


@pytest.fixture
def train_and_test(work, call_tool, monkeypatch):
    """A function that runs a tool in this process and the folder, to its end; what it wrote."""
    monkeypatch.chdir(work)

    def function(*arguments):
        code, *texts = call_tool(*arguments)
        assert code == 0, texts[1][-2000:]
        return texts

    return function


def test_killed_training_resumes_with_the_same_losses(work, train_and_test):
    """Killed while it writes the checkpoint of an epoch, of which the logs have every step."""
    train_and_test('train', 'det.py', '--demo', '--work-dir', 'whole', *EACH_STEP)
    (work / 'kill_while_writing.py').write_text(KILL)
    hook = "custom_hooks = [dict(type='KillWhileWriting')]\n"
    imports = "custom_imports = dict(imports=['mmbackbones', 'kill_while_writing'])\n"
    (work / 'kill.py').write_text(f"_base_ = 'det.py'\n{hook}{imports}")
    arguments = ('--demo', '--work-dir', 'killed', *EACH_STEP)
    killed = run(work, 'train.py', 'kill.py', *arguments)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert (work / 'killed/epoch_2.pth').stat().st_size > 0
    own = 'visualizer.name=resumed'  # mm keeps those of a name, with their folder
    _, errors = train_and_test('train', 'det.py', '--resume', *arguments, own)
    assert 'passed over: killed/epoch_2.pth' in errors
    assert 'is no whole checkpoint' in errors
    assert len(list((work / 'killed').glob('*/vis_data/scalars.json'))) == 2
    assert scalars(work / 'killed') == pytest.approx(scalars(work / 'whole'), rel=1e-6)
    assert sorted(scalars(work / 'whole')) == [1, 2, 3, 4]


def test_testing_draws_and_keeps_predictions_of_a_detector(work, train_and_test):
    checkpoint = 'whole/epoch_2.pth'
    extra = ('--show-dir', 'drawn', '--out', 'predictions.pkl', '--work-dir', 'tested')
    texts = train_and_test('test', 'det.py', checkpoint, '--demo', *extra)
    assert 'coco/segm_mAP_50' in ''.join(texts)
    check_pictures(sorted((work / 'drawn').glob('*.jpg')))
    predictions = pickle.loads((work / 'predictions.pkl').read_bytes())
    assert len(predictions) == SMALL['val']
    curve, _ = train_and_test('analyze_logs', 'whole')
    assert 'coco/bbox_mAP_50' in curve
    assert cv2.imread(str(work / 'whole/curve.png')).std() > 5


def test_a_detector_is_tested_in_mixed_precision(train_and_test):
    """In bfloat16, which RoIAlign of mmcv and its suppression of doubles do not know."""
    options = ('--cfg-options', 'model.test_cfg.rcnn.score_thr=0', '--work-dir', 'mixed')
    texts = train_and_test('test', 'det.py', 'whole/epoch_2.pth', '--demo', '--amp', *options)
    assert 'coco/segm_mAP_50' in ''.join(texts)


def check_pictures(paths):
    """One picture per held-out image: ground truth beside predictions, and not blank."""
    assert len(paths) == SMALL['val']
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture.shape[1] == 2 * picture.shape[0]
        assert picture.std() > 5


def test_a_segmenter_trains_and_tests_with_the_same_tools(work, train_and_test):
    """In processes of their own: what a library prints as it is imported would be seen."""
    done = run(work, 'train.py', 'seg.py', '--demo', '--auto-scale-lr', '--work-dir', 'seg')
    assert done.returncode == 0, done.stderr[-2000:]
    (log,) = work.glob('seg/*/*.log')
    for words in ('paramwise_options', 'System environment', 'Config:\n'):  # in the file alone
        assert words in log.read_text()
        assert words not in done.stdout
    assert 'Iter(train)' in done.stdout or 'Epoch(train)' in done.stdout
    assert 'OneDL' not in done.stdout + done.stderr
    extra = ('--show-dir', 'seg_drawn', '--out', 'seg_out', '--work-dir', 'seg_tested')
    texts = train_and_test('test', 'seg.py', 'seg/epoch_2.pth', '--demo', *extra)
    assert 'mIoU' in ''.join(texts)
    assert len(list((work / 'seg_out').glob('*.png'))) == SMALL['val']
    check_pictures(sorted((work / 'seg_drawn').rglob('*.png')))


def test_test_time_augmentation(train_and_test, call_tool):
    options = ('--demo', '--tta', '--work-dir', 'tta')
    assert 'mIoU' in ''.join(train_and_test('test', 'seg.py', 'seg/epoch_2.pth', *options))
    code, _, errors = call_tool('test', 'det.py', 'whole/epoch_2.pth', '--demo', '--tta')
    assert (code, 'mmdet merges boxes alone' in errors) == (2, True)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ('train det.py', 'data/coco/annotations/instances_train2017.json is missing'),
        ('train seg.py', 'data/ade/ADEChallengeData2016/images/training is missing'),
        ('train det.py --demo --work-dir det.py/work', 'cannot write into det.py/'),
        ('train none.py', 'there is no config none.py'),
        ('test det.py none.pth --demo', 'there is no checkpoint none.pth'),
        ('analyze_logs nowhere', 'nowhere has no */vis_data/scalars.json'),
        ('train det.py --demo --resume no.pth', 'there is no checkpoint no.pth'),
        ('train det.py --demo --work-dir whole', 'whole holds a training (epoch_2.pth) that this'),
    ],
)
def test_mistakes_get_one_sentence(work, call_tool, monkeypatch, arguments, words):
    monkeypatch.chdir(work)
    code, _, errors = call_tool(*arguments.split())
    assert code == 2
    message = errors.strip().splitlines()[-1]
    assert words in message
    if 'is missing' in words:
        assert '--demo' in message
        assert 'https://' in message


def test_of_several_processes_one_says_what_is_missing(work, call_tool, monkeypatch):
    monkeypatch.chdir(work)
    monkeypatch.setenv('RANK', '1')
    code, _, errors = call_tool('train', 'det.py')
    assert (code, errors) == (2, '')


@pytest.mark.parametrize('tool', ['train', 'test', 'demo_set', 'analyze_logs'])
def test_help_has_an_example(call_tool, tool):
    code, output, _ = call_tool(tool, '--help')
    assert code == 0
    assert f'python tools/{tool}.py' in output


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_loses_nothing(work):
    """Here a limit on the size of files stands for it: logs fit, the second checkpoint does not."""
    extra = ('--demo', '--work-dir', 'full', *EACH_STEP)
    one = run(work, 'train.py', 'det.py', *extra, 'train_cfg.max_epochs=1')
    assert one.returncode == 0, one.stderr[-2000:]
    kept = (work / 'full/epoch_1.pth').read_bytes()
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2**20, 2**20))
    done = run(work, 'train.py', 'det.py', *extra, '--resume', preexec_fn=limit)
    assert done.returncode == 1, done.stderr[-2000:]
    assert done.stderr.splitlines()[-1].startswith('writing into full failed: File too large; make')
    assert (work / 'full/epoch_1.pth').read_bytes() == kept
    done = run(work, 'train.py', 'det.py', *extra, '--resume')
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'passed over: full/epoch_2.pth' in done.stderr
    assert sorted(scalars(work / 'full')) == [1, 2, 3, 4]


@pytest.mark.slow
def test_averaged_weights_and_accumulated_gradients_resume(work):
    """EMA and accumulation as a config sets them, in an interrupted and an uninterrupted run."""
    ema = "custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', update_buffers=True)]\n"
    steps = 'optim_wrapper = dict(accumulative_counts=2)\n'
    (work / 'ema.py').write_text(f"_base_ = 'det.py'\n{ema}{steps}")
    losses = []
    for parts in ([2], [1, 2]):
        extra = ('--demo', '--work-dir', f'ema{len(parts)}', '--resume', '--detect-nan', *EACH_STEP)
        for epochs in parts:
            done = run(work, 'train.py', 'ema.py', *extra, f'train_cfg.max_epochs={epochs}')
            assert done.returncode == 0, done.stderr[-2000:]
        losses.append(scalars(work / f'ema{len(parts)}'))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    saved = load_from_checked_file(work / 'ema2/epoch_2.pth')
    assert saved['message_hub']['log_scalars']['train/loss'].mean() > 0
    name = 'module.backbone.stem.proj.weight'
    assert not torch.equal(saved['ema_state_dict'][name], saved['state_dict'][name[7:]])


@pytest.mark.slow
def test_test_time_augmentation_of_boxes(work):
    neck = "neck=dict(in_channels=numbers['dims'][1:], out_channels=32)"
    head = 'bbox_head=dict(in_channels=32, feat_channels=32)'
    text = small_config('retinanet_swin_t', f'{neck}, {head}')
    (work / 'boxes.py').write_text(f'{text}demo.update({SMALL})')
    options = ('--cfg-options', 'model.test_cfg.score_thr=0')
    done = run(work, 'train.py', 'boxes.py', '--demo', '--work-dir', 'boxes', *options)
    assert done.returncode == 0, done.stderr[-2000:]
    done = run(work, 'test.py', 'boxes.py', 'boxes/epoch_2.pth', '--demo', '--tta', *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'coco/bbox_mAP' in done.stdout + done.stderr


# On a CPU, what PyTorch moves there stays where it was, and is overwritten.
FSDP = """
_base_ = ['det.py', '{root}/configs/_base_/strategies/fsdp.py']
strategy = dict(
    model_wrapper=dict(device_id='cpu'),
    state_dict_cfg=dict(
        _delete_=True,
        state_dict_type='FULL_STATE_DICT',
        state_dict_config=dict(type='FullStateDictConfig', offload_to_cpu=False),
        optim_state_dict_config=dict(type='FullOptimStateDictConfig', offload_to_cpu=False),
    ),
)
"""


@pytest.fixture(scope='module')
def of_ddp(work):
    """The losses of two processes under DDP."""
    distributed(work, 'det.py', 'together')
    return scalars(work / 'together')


@pytest.mark.slow
@pytest.mark.parametrize('strategy', ['ddp', 'fsdp', 'deepspeed'])
def test_two_processes_train_and_resume(work, of_ddp, strategy):
    """As under DDP without a pause; the checkpoint is one of a single process."""
    if strategy == 'deepspeed':
        pytest.importorskip('deepspeed')
    (work / 'fsdp.py').write_text(FSDP.format(root=ROOT))
    config = 'fsdp.py' if strategy == 'fsdp' else 'det.py'
    flags = ['--strategy', strategy] if strategy == 'deepspeed' else []
    for epochs in (1, 2):
        distributed(work, config, strategy, *flags, epochs=epochs)
    assert sorted(of_ddp) == [1, 2, 3, 4]
    assert scalars(work / strategy) == pytest.approx(of_ddp, rel=1e-4)
    if strategy == 'deepspeed':
        return  # a folder, which DeepSpeed's zero_to_fp32.py turns into a file
    done = run(work, 'test.py', 'det.py', f'{strategy}/epoch_2.pth', '--demo')
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'coco/segm_mAP_50' in done.stdout + done.stderr


def distributed(work, config, folder, *flags, epochs=2):
    """Train as dist_train.sh starts two processes, without GPUs."""
    port = str(29600 + os.getpid() % 300)
    env = dict(ENVIRONMENT, MASTER_PORT=port, DS_ACCELERATOR='cpu')
    env['PATH'] = f'{Path(sys.executable).parent}:{env["PATH"]}'
    options = [*EACH_STEP, 'demo.batch_size=2', f'train_cfg.max_epochs={epochs}']
    script = ['bash', str(ROOT / 'tools/dist_train.sh'), config, '2', '--demo', '--resume']
    script += ['--work-dir', folder, *flags, *options]
    done = subprocess.run(script, cwd=work, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
