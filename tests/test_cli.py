"""python -m mmbackbones, and what the set-up script says where something is missing."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.torch_version import TorchVersion

from mmbackbones import doctor, paths
from mmbackbones.__main__ import main
from mmbackbones.paths import configs_of
from mmbackbones.registry import MODELS
from mmbackbones.weights.published import PUBLISHED

ROOT = Path(__file__).parent.parent


def shown(capsys, *arguments):
    """What a command prints, in lines."""
    main(list(arguments))
    return capsys.readouterr().out.splitlines()


def test_list_shows_every_size(capsys):
    lines = shown(capsys, 'list')
    rows = [line.split(maxsplit=2) for line in lines[lines.index('SwinTransformer') + 2 :]]
    assert [row[:2] for row in rows[:2]] == [['tiny', '27,520,698'], ['small', '48,838,602']]
    assert ' '.join(rows[2][2].split()) == '128 256 512 1024 1K 83.5, 14 more 12'
    assert max(map(len, lines)) <= 80
    for name in MODELS.module_dict:
        first = lines.index(name) + 2
        wanted = list(MODELS.get(name).archs)
        whole = [line for line in lines[first:] if not line.startswith(' ')]  # but what is folded
        assert [line.split()[0] for line in whole[: len(wanted)]] == wanted


def test_info_shows_arguments_and_formats(capsys):
    out = '\n'.join(shown(capsys, 'info', 'SwinTransformer'))
    assert 'window_size' in out
    assert 'timm' in out
    with pytest.raises(SystemExit, match=r'no backbone Swim; choose from .*SwinTransformer'):
        main(['info', 'Swim'])
    with pytest.raises(SystemExit, match='no backbone StochasticWeightAverage'):
        main(['info', 'StochasticWeightAverage'])  # of mmengine


@pytest.mark.parametrize('words', [['--help'], ['info', '--help']])
def test_help_has_an_example_that_runs(capsys, words):
    with pytest.raises(SystemExit):
        main(words)
    example = capsys.readouterr().out.partition('example: python -m mmbackbones ')[2]
    assert shown(capsys, *example.split())[0].startswith('Swin Transformer')


@pytest.mark.parametrize(
    ('name', 'columns'), [*((name, '80') for name in PUBLISHED), ('SwinTransformer', '160')]
)
def test_info_shows_whole_addresses_and_names_at_any_width(capsys, monkeypatch, name, columns):
    monkeypatch.setenv('COLUMNS', columns)
    lines = shown(capsys, 'info', name)
    for arch, known in PUBLISHED[name].items():
        for label, weights in known.items():
            wanted = [arch, *label.split(), *weights.figure.split(), weights.url]
            assert wanted in [line.split() for line in lines]
        assert {word for line in lines for word in line.split()} >= set(configs_of(name)[arch])
    assert not {'\x1b', '…'} & set(''.join(lines))


def test_configs_of_ones_own_do_no_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, 'ROOT', tmp_path)
    backbone = "model = dict(backbone=dict(type='mmbackbones.DaViT'"
    texts = dict(
        base=f"{backbone}, arch='tiny'))",
        own="_base_ = './base.py'",
        bare=f"_base_ = ['mmdet::_base_/default_runtime.py', *others]\n{backbone}))",
    )
    (tmp_path / 'configs').mkdir()
    for name, text in texts.items():
        (tmp_path / f'configs/{name}.py').write_text(text)
    assert configs_of('DaViT') == {'tiny': ['base', 'own'], None: ['bare']}


def test_info_prints_the_neck_to_paste(capsys):
    lines = shown(capsys, 'info', 'MaxViT', '--neck')
    assert lines[0] == "neck=dict(in_channels=[64, 128, 256, 512]),  # backbone=dict(arch='tiny')"
    assert len(lines) == 6


def diagnose(capsys):
    """The exit status of the doctor, and what it prints."""
    with pytest.raises(SystemExit) as done:
        main(['doctor'])
    return done.value.code, capsys.readouterr().out


def test_doctor_finds_a_whole_environment_whole(capsys):
    pytest.importorskip('mmcv.ops')
    code, out = diagnose(capsys)
    assert code == 0, out
    assert 'run on cpu: nms keeps [0, 2] of 3 boxes, roi_align gives [2.5, 4.5, 10.5, 12.5]' in out


def test_doctor_tells_how_to_build_missing_operators(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmcv.ops', None)
    code, out = diagnose(capsys)
    assert code == 1
    assert 'BAD  mmcv has no working operators on cpu' in out
    assert 'pip install --no-build-isolation' in out
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: None)
    assert 'install a C++ compiler' in doctor.build()
    assert 'install nvcc of CUDA' in doctor.build('cuda')
    assert 'then FORCE_CUDA=1 pip install --no-build-isolation' in doctor.build('cuda')
    monkeypatch.setattr(doctor, 'installed', lambda names: {n: '1' for n in names if n == 'mmcv'})
    assert doctor.build().endswith('--no-deps mmcv==2.1.0')
    monkeypatch.setattr(doctor, 'installed', lambda names: {})
    assert doctor.build().endswith('--no-deps onedl-mmcv')


def test_a_note_is_no_failure_and_is_explained(capsys, monkeypatch):
    monkeypatch.setattr('mmbackbones.__main__.examine', lambda: [doctor.Finding('note', 'a', 'b')])
    assert diagnose(capsys) == (0, 'note a\n     -> b\n')


def test_operators_are_tried_on_the_gpu_too_and_must_be_right(monkeypatch):
    right = ([0, 2], [2.5, 4.5, 10.5, 12.5])

    def operate(device):
        if device == 'cuda':
            raise RuntimeError('nms_impl: implementation for device cuda:0 not found.\n more')
        return right

    monkeypatch.setattr(doctor.torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(doctor, 'operate', operate)
    _, cpu, cuda = doctor.operators()
    assert (cpu.state, cuda.state) == ('ok', 'BAD')
    assert cuda.text.endswith('on cuda: nms_impl: implementation for device cuda:0 not found.')
    assert 'FORCE_CUDA=1' in cuda.cure
    monkeypatch.setattr(doctor, 'operate', lambda device: ([0, 1, 2], right[1]))
    assert [found.state for found in doctor.operators()] == ['ok', 'BAD', 'BAD']
    monkeypatch.setattr(doctor, 'operate', lambda device: right)
    assert [found.state for found in doctor.operators()] == ['ok', 'ok', 'ok']


@pytest.mark.parametrize(
    ('cuda', 'driver', 'state', 'words'),
    [
        (None, None, 'ok', 'no GPU and no driver'),
        ('12.8', None, 'ok', 'no GPU and no driver'),
        (None, '/bin/nvidia-smi', 'note', 'install a torch that is built for CUDA'),
        ('12.8', '/bin/nvidia-smi', 'BAD', 'driver is too old'),
    ],
)
def test_doctor_says_why_there_is_no_gpu(monkeypatch, cuda, driver, state, words):
    def init():
        raise RuntimeError('driver is too old\nmore')

    monkeypatch.setattr(doctor.torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(doctor.torch.cuda, 'init', init)
    monkeypatch.setattr(doctor.torch.version, 'cuda', cuda)
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: driver)
    (found,) = doctor.gpus()
    assert found.state == state
    assert words in found.text + found.cure
    assert 'more' not in found.text
    monkeypatch.setattr(doctor.torch.cuda, 'init', lambda: None)
    assert doctor.cuda_error() == 'CUDA starts, and sees no device'


def test_doctor_names_the_gpus(monkeypatch):
    kind = SimpleNamespace(name='NVIDIA H100', total_memory=80 * 2**30)
    monkeypatch.setattr(doctor.torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(doctor.torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(doctor.torch.cuda, 'get_device_properties', lambda index: kind)
    texts = [found.text for found in doctor.gpus()]
    assert texts == ['GPU 0: NVIDIA H100, 80 GiB', 'GPU 1: NVIDIA H100, 80 GiB']


@pytest.mark.parametrize(('number', 'state'), [('2.5.1', 'BAD'), ('2.6.0', 'ok'), ('2.13.0', 'ok')])
def test_doctor_knows_which_torch_is_too_old(monkeypatch, number, state):
    monkeypatch.setattr(doctor.torch, '__version__', TorchVersion(number))
    monkeypatch.setattr(doctor.torch.version, 'cuda', '12.8')
    (found,) = doctor.pytorch()
    assert (found.state, found.text) == (state, f'torch {number}, built for CUDA 12.8')


@pytest.mark.parametrize(
    ('number', 'state'), [((3, 9, 1), 'BAD'), ((3, 14, 0), 'ok'), ((3, 15, 0), 'note')]
)
def test_doctor_knows_which_python_will_do(monkeypatch, number, state):
    monkeypatch.setattr(doctor.sys, 'version_info', number)
    (found,) = doctor.python()
    assert (found.state, found.text) == (state, 'Python ' + '.'.join(map(str, number)))


@pytest.mark.parametrize(
    ('content', 'state', 'words'),
    [
        (None, 'ok', 'torchvision is not installed'),
        ('__version__ = "1.0"', 'ok', 'torchvision 1.0 imports'),
        ('raise RuntimeError("operator torchvision::nms does not exist")', 'BAD', 'does not fit'),
        ('import a_missing_part', 'BAD', "No module named 'a_missing_part'"),
        ('raise OSError("libcudart.so.13")', 'BAD', 'pip uninstall torchvision'),
    ],
)
def test_doctor_sees_a_torchvision_that_does_not_fit(monkeypatch, tmp_path, content, state, words):
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    if content:
        monkeypatch.delitem(sys.modules, 'torchvision')
        (tmp_path / 'torchvision.py').write_text(content)
        monkeypatch.syspath_prepend(tmp_path)
    (found,) = doctor.torchvision()
    sys.modules.pop('torchvision', None)
    assert found.state == state
    assert words in found.text + found.cure


def pretend(monkeypatch, **present):
    """Let these packages be installed, and no others."""

    def version(name):
        if name.replace('-', '_') not in present:
            raise doctor.PackageNotFoundError(name)
        return present[name.replace('-', '_')]

    monkeypatch.setattr(doctor, 'version', version)


@pytest.mark.parametrize(
    ('present', 'state', 'words'),
    [
        (['onedl_mmcv'], 'ok', 'OneDL: onedl-mmcv 1.0'),
        (['onedl_mmcv', 'mmcv'], 'BAD', 'pip uninstall mmcv'),
        ([], 'BAD', r'pip install "mmbackbones[onedl] @ git+https://'),
    ],
)
def test_doctor_knows_the_families(monkeypatch, present, state, words):
    pretend(monkeypatch, **dict.fromkeys(present, '1.0'))
    (found,) = doctor.family()
    assert found.state == state
    assert words in found.text + found.cure


def test_doctor_knows_which_versions_are_tested(monkeypatch):
    pretend(monkeypatch, mmengine='0.10.7', mmcv='2.1.0', mmdet='3.3.0', mmsegmentation='1.2.2')
    assert list(doctor.versions()) == []
    pretend(monkeypatch, mmcv='2.2.0', mmdet='3.2.0')
    mmcv, mmdet = doctor.versions()
    assert mmcv.state == 'BAD'
    assert mmcv.cure.endswith('mmcv==2.1.0')
    assert mmdet.state == 'note'
    assert mmdet.cure.endswith('pip install mmdet==3.3.0')


def test_the_tested_versions_are_those_that_are_set_up():
    text = (ROOT / 'tools/setup_env.sh').read_text() + (ROOT / 'tools/constraints.txt').read_text()
    for packages in doctor.FAMILIES.values():
        for name, number in packages.items():
            assert f'{name}=={number}' in text


def test_doctor_says_which_package_does_not_import(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmseg', None)
    *_, found = doctor.packages()
    assert found.state == 'BAD'
    assert found.text.startswith('mmseg does not import: ModuleNotFoundError')


def test_doctor_finds_room_for_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'new/hub'))
    disk = SimpleNamespace(free=7e9)
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: disk)
    (found,) = doctor.cache()
    assert found.state == 'ok'
    assert found.text.endswith('new/hub/checkpoints: 7.0 GB free')
    assert not (tmp_path / 'new').exists()
    disk.free = 1e9
    (found,) = doctor.cache()
    assert found.state == 'note'
    assert 'TORCH_HOME' in found.cure
    (tmp_path / 'new').write_text('a file where a folder should be')
    (found,) = doctor.cache()
    assert (found.state, found.text.rpartition(': ')[2]) == ('BAD', 'Not a directory')
    assert 'TORCH_HOME' in found.cure


def build_mmcv(pip, folder):
    """What the set-up's function prints and returns, with another pip and no compiler."""
    names = ('count_compiled', 'build_mmcv')
    parts = ';'.join(f'/^{name}()/,/^}}/p' for name in names)
    script = (
        f'set -euo pipefail; source <(sed -n "{parts}" tools/setup_env.sh);'
        f'pip() {{ {pip} }}; CXX=true build_mmcv onedl-mmcv {folder}'
    )
    return subprocess.run(['bash', '-c', script], cwd=ROOT, capture_output=True, text=True)


def test_built_wheels_are_kept_where_there_was_no_folder(tmp_path):
    """With a pip that writes a wheel without building it."""
    ninja = 'for n in {1..12}; do echo "  [$n/12] c++ file.cpp"; done;'
    wheel = 'while [ "$1" != --wheel-dir ]; do shift; done; touch "$2/onedl_mmcv.whl";'
    done = build_mmcv(ninja + wheel, f'{tmp_path}/new/cache')
    assert done.returncode == 0, done.stderr
    counted = [line.strip() for line in done.stdout.splitlines() if 'compiled' in line]
    assert counted == ['compiled 10 of 12 files', 'compiled 12 of 12 files']
    found = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob('*'))]
    assert found == ['new', 'new/cache', 'new/cache/onedl_mmcv.whl']


def test_a_failed_build_shows_why_and_where_the_whole_output_is(tmp_path):
    done = build_mmcv('echo "file.cpp: error: no"; return 1;', tmp_path)
    assert done.returncode == 1
    assert 'file.cpp: error: no\nmmcv could not be built; the whole output is in' in done.stderr
    (log,) = tmp_path.glob('build.*/log')
    assert log.read_text() == 'file.cpp: error: no\n'


@pytest.mark.parametrize(
    ('function', 'setting', 'words'),
    [
        ('build_mmcv', 'CXX=no-such-compiler', 'needs a C++ compiler and no-such-compiler was not'),
        ('find_python', 'PYTHON=no-such-python', 'No Python 3.10 to 3.14'),
        ('choose_stack', ':', 'There is no stack x; take onedl or openmmlab'),
    ],
)
def test_set_up_says_what_is_missing(function, setting, words):
    script = (
        f'source <(sed -n "/^{function}()/,/^}}/p" tools/setup_env.sh); {setting}; {function} x'
    )
    done = subprocess.run(['bash', '-c', script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
