"""python -m mmbackbones, and what the set-up script says where something is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmbackbones import doctor
from mmbackbones.__main__ import main

ROOT = Path(__file__).parent.parent


def test_list_shows_every_size(capsys):
    main(['list'])
    lines = capsys.readouterr().out.splitlines()
    swin = [line.split()[1:3] for line in lines if line.startswith('SwinTransformer ')]
    assert ['tiny', '27,520,698'] in swin
    assert [size for size, _ in swin] == ['tiny', 'small', 'base', 'large']


def test_info_shows_arguments_and_formats(capsys):
    main(['info', 'SwinTransformer'])
    out = capsys.readouterr().out
    assert 'window_size' in out
    assert 'timm' in out
    with pytest.raises(SystemExit, match=r'no backbone Swim; choose from .*SwinTransformer'):
        main(['info', 'Swim'])


def test_info_prints_the_neck_to_paste(capsys):
    main(['info', 'MaxViT', '--neck'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "neck=dict(in_channels=[64, 128, 256, 512]),  # backbone=dict(arch='tiny')"
    assert len(lines) == 6


def test_doctor_finds_a_whole_environment_whole(capsys):
    pytest.importorskip('mmcv.ops')
    with pytest.raises(SystemExit) as done:
        main(['doctor'])
    out = capsys.readouterr().out
    assert done.value.code == 0, out
    assert 'nms keeps [0, 2] of 3 boxes' in out


def test_doctor_tells_how_to_build_missing_operators(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmcv.ops', None)
    with pytest.raises(SystemExit) as done:
        main(['doctor'])
    out = capsys.readouterr().out
    assert done.value.code == 1
    assert 'BAD  mmcv has no working operators' in out
    assert 'pip install --no-build-isolation' in out
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: None)
    assert 'install a C++ compiler' in doctor.operators()[2]
    monkeypatch.setattr(doctor, 'installed', lambda names: {n: '1' for n in names if n == 'mmcv'})
    assert doctor.build().endswith('--no-deps mmcv==2.1.0')
    monkeypatch.setattr(doctor, 'installed', lambda names: {})
    assert doctor.build().endswith('--no-deps onedl-mmcv')


@pytest.mark.parametrize(
    ('present', 'ok', 'words'),
    [
        (['onedl-mmcv'], True, 'OneDL: onedl-mmcv 1.0'),
        (['onedl-mmcv', 'mmcv'], False, 'pip uninstall mmcv'),
        ([], False, r'pip install "mmbackbones[onedl]"'),
    ],
)
def test_doctor_knows_the_families(monkeypatch, present, ok, words):
    def version(name):
        if name not in present:
            raise doctor.PackageNotFoundError(name)
        return '1.0'

    monkeypatch.setattr(doctor, 'version', version)
    good, finding, cure = doctor.family()
    assert good == ok
    assert words in (finding if ok else cure)


def test_built_wheels_are_kept_where_there_was_no_folder(tmp_path):
    """With a pip that writes a wheel without building it."""
    script = (
        'set -euo pipefail; source <(sed -n "/^build_mmcv()/,/^}/p" tools/setup_env.sh);'
        'pip() { while [ "$1" != --wheel-dir ]; do shift; done; touch "$2/onedl_mmcv.whl"; };'
        f'CXX=true build_mmcv onedl-mmcv {tmp_path}/new/cache'
    )
    done = subprocess.run(['bash', '-c', script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob('*'))]
    assert found == ['new', 'new/cache', 'new/cache/onedl_mmcv.whl']


@pytest.mark.parametrize(
    ('function', 'setting', 'words'),
    [
        ('build_mmcv', 'CXX=no-such-compiler', 'needs a C++ compiler and no-such-compiler was not'),
        ('find_python', 'PYTHON=no-such-python', 'No Python 3.10, 3.11 or 3.12'),
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
