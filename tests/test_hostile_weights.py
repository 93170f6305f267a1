"""No file of weights runs code, by whatever tool and option it is loaded; nor does a config."""

import contextlib
import pickle
import shlex
import sys

import pytest
import torch
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import export
import get_flops
import image_demo
import results
import test as test_tool
import train
import visualize
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_http, load_from_local
from small_configs import DETECTOR
from test_results import RETINANET
from test_results import leave as leave_logs


class Call:
    """Is pickled as a call of a function, which may itself be such a call."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts

    def __call__(self):
        """Nothing: pickle wants a function that can be called."""


def proof(path):
    """What runs if a file runs code."""
    path.write_text('code ran')


def plain(path):
    """The function by its name."""
    return Call(proof, path)


def chained(path):
    """exec, by way of getattr from a class that every training's checkpoint holds."""
    inside = Call(getattr, Call(getattr, HistoryBuffer, 'mean'), '__globals__')
    builtins = Call(Call(getattr, inside, 'get'), '__builtins__')
    run = Call(Call(getattr, builtins, 'get'), 'exec')
    return Call(run, f'open({str(path)!r}, "w").write("code ran")')


def write(kind, path, evidence):
    """A checkpoint of a training with code in it."""
    history = HistoryBuffer()
    history.update(1.0)
    content = dict(
        meta=dict(epoch=1, iter=1, cfg=''),
        state_dict={'backbone.weight': torch.ones(2)},
        message_hub=dict(log_scalars={'train/loss': history}, runtime_info={}),
        optimizer={},
    )
    if kind == 'in the head of an old file':
        head = MAGIC_NUMBER, PROTOCOL_VERSION, plain(evidence), {}
        path.write_bytes(b''.join(pickle.dumps(each, 2) for each in head))
    else:
        content['param_schedulers'] = [{'plain': plain, 'chained': chained}[kind](evidence)]
        torch.save(content, path)


KINDS = ('plain', 'chained', 'in the head of an old file')
BACKBONE = (
    'tiny.py --demo --cfg-options model.backbone.init_cfg._delete_=True '
    'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint='
)
DOORS = {
    'test.py FILE': (test_tool, 'tiny.py epoch_1.pth --demo'),
    'test.py URL': (test_tool, 'tiny.py {url}/epoch_1.pth --demo'),
    '--resume FILE': (train, 'tiny.py --demo --resume epoch_1.pth'),
    '--resume': (train, 'tiny.py --demo --work-dir . --resume'),
    'resume=True': (train, 'tiny.py --demo --work-dir . --cfg-options resume=True'),
    'resume=True load_from': (
        train,
        'tiny.py --demo --cfg-options resume=True load_from=epoch_1.pth',
    ),
    'load_from': (train, 'tiny.py --demo --cfg-options load_from=epoch_1.pth'),
    'load_from=URL': (train, 'tiny.py --demo --cfg-options load_from={url}/epoch_1.pth'),
    'model.init_cfg': (
        train,
        'tiny.py --demo --cfg-options model.init_cfg.type=Pretrained '
        'model.init_cfg.checkpoint=epoch_1.pth',
    ),
    'backbone.init_cfg': (train, f'{BACKBONE}epoch_1.pth'),
    'neck.init_cfg': (
        train,
        'tiny.py --demo --cfg-options model.neck.init_cfg.type=Pretrained '
        'model.neck.init_cfg.checkpoint={url}/epoch_1.pth',
    ),
    'image_demo.py': (image_demo, 'a.jpg tiny.py --demo --weights epoch_1.pth'),
    'visualize.py': (visualize, 'a.jpg SwinTransformer --weights epoch_1.pth'),
    'export.py': (export, 'SwinTransformer --out a.pt2 --weights epoch_1.pth'),
}

QUICK = ('test.py FILE', '--resume')


@pytest.fixture
def call(tmp_path, monkeypatch, serve):
    """Run a tool in a folder with a small config and a picture, whose files a server has too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'cache'))
    (tmp_path / 'tiny.py').write_text(DETECTOR)
    image_demo.cv2.imwrite('a.jpg', image_demo.np.zeros((64, 64, 3), 'uint8'))
    address = serve(tmp_path)

    def function(tool, words):
        words = shlex.split(words.format(url=address))
        monkeypatch.setattr(sys, 'argv', [tool.__name__, *words])
        tool.main()

    return function


@pytest.mark.parametrize('kind', KINDS)
def test_these_files_run_code_where_nothing_stops_them(kind, tmp_path):
    write(kind, tmp_path / 'epoch_1.pth', tmp_path / 'proof')
    with contextlib.suppress(EOFError):  # the old file ends after its head
        torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    assert (tmp_path / 'proof').exists()


@pytest.mark.parametrize(
    ('door', 'kind'),
    [
        # All kinds at two doors, and one kind at each of the others: they share their reader.
        pytest.param(door, kind, marks=[] if kind == 'plain' or door in QUICK else pytest.mark.slow)
        for door in DOORS
        for kind in KINDS
    ],
)
def test_no_door_lets_code_in(kind, door, call, tmp_path, capsys):
    write(kind, tmp_path / 'epoch_1.pth', tmp_path / 'proof')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    with pytest.raises(SystemExit) as caught:
        call(*DOORS[door])
    said = f'{capsys.readouterr().err}{caught.value}'
    assert 'epoch_1.pth' in said
    assert 'run code' in said or 'is no whole checkpoint' in said
    assert not (tmp_path / 'proof').exists()


def test_weights_that_cannot_be_fetched_are_one_sentence(call):
    with pytest.raises(SystemExit, match=r'none.pth cannot be downloaded \(HTTP Error 404.*bring'):
        call(train, f'{BACKBONE}{{url}}/none.pth')


def test_pytorch_itself_is_strict_in_every_tool(call, tmp_path):
    """For what has a loader of its own, such as DeepSpeed, which asks for the opposite."""
    write('plain', tmp_path / 'epoch_1.pth', tmp_path / 'proof')
    call(get_flops, 'SwinTransformer --shape 32 32')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    loaders = set(CheckpointLoader._schemes.values())
    assert not loaders & {load_from_http, load_from_local}
    assert len(loaders) == 1


CODE = {
    'a statement': "import pathlib; pathlib.Path('proof').touch()",
    'a call': "x = __import__('pathlib').Path('proof').touch()",
    'an argument': "x = dict(a=open('proof', 'w'))",
    'a function as type': "model = dict(type='os.mkdir', path='proof')\ndefault_scope = 'mmdet'",
    'a function of mm': (
        "model = dict(type='mmengine.dump', obj=1, file='proof', file_format='json')\n"
        "default_scope = 'mmdet'"
    ),
    'an evaluated type': (
        """model = dict(type='RetinaNet', test_cfg=dict(nms=dict(type='open("proof", "w")')))\n"""
        "default_scope = 'mmdet'"
    ),
    'a scope': "default_scope = 'evil'",
    'a base': "_base_ = 'evil.py'",
    'an import': "custom_imports = dict(imports=['evil'])",
}


@pytest.mark.parametrize('what', CODE)
def test_configs_of_work_dirs_are_data(what, call, tmp_path):
    logs = leave_logs(tmp_path / 'run', RETINANET, {'coco/bbox_mAP': 0.5})
    for folder in (tmp_path, logs):
        (folder / 'evil.py').write_text("import pathlib; pathlib.Path('proof').touch()")
    (logs / 'config.py').write_text(f'{CODE[what]}\n')
    call(results, 'run')
    assert '0.5' in (tmp_path / 'outputs/results/results.md').read_text()
    assert not (tmp_path / 'proof').exists()


def test_the_config_in_a_checkpoint_does_not_run(call, tmp_path, capsys):
    """mmengine runs `meta.config` of what it resumes."""
    call(train, 'tiny.py --demo --work-dir one --cfg-options demo.train=2')
    (path,) = (tmp_path / 'one').glob('epoch_1.pth')
    content = torch.load(path, weights_only=False)
    content['meta']['config'] = "import pathlib; pathlib.Path('proof').touch()"
    torch.save(content, path)
    options = 'demo.train=2 train_cfg.max_epochs=2'
    call(train, f'tiny.py --demo --work-dir one --resume --cfg-options {options}')
    assert (tmp_path / 'one/epoch_2.pth').exists()
    assert not (tmp_path / 'proof').exists()
