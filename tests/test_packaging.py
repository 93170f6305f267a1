"""What the wheel carries works without a checkout: names, configs, tools, the model index."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from mmbackbones import __version__, doctor, path_of

ROOT = Path(__file__).parent.parent
SOURCES = ('mmbackbones', 'configs', 'tools', '.mim')
QUIET = ('--quiet', '--disable-pip-version-check', '--no-index')
BUILD = """
import sys
from mmengine.config import Config
import mmbackbones
from mmbackbones.__main__ import main

config = Config.fromfile(sys.argv[1])
config.model.backbone.pop('init_cfg')
net = mmbackbones.registry.MODELS.build(config.model.backbone)
print(mmbackbones.__file__, mmbackbones.__version__, net.out_channels)
main(['info', 'Container'])
"""


def run(*command, code=0, **where):
    """The process of a command that ends with this code, its output to be read."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, **where)
    assert done.returncode == code, done.stdout[-500:] + done.stderr[-2000:]
    return done


def pip(python, action, *arguments):
    return run(sys.executable, '-m', 'pip', '--python', python, action, *QUIET, *arguments)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built from the source distribution."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name)
    for name in ('setup.py', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    run(sys.executable, 'setup.py', '-q', 'sdist', '--dist-dir', out, cwd=source)
    archive = out / f'mmbackbones-{__version__}.tar.gz'
    build = ('--no-build-isolation', '--no-deps', '--wheel-dir', out)
    pip(sys.executable, 'wheel', *build, archive)
    return out / f'mmbackbones-{__version__}-py3-none-any.whl'


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    """A folder to import from, which holds nothing but the wheel."""
    folder = tmp_path_factory.mktemp('site')
    pip(sys.executable, 'install', '--no-deps', '--target', folder, wheel)
    return folder


@pytest.fixture
def alone(site, tmp_path):
    """Where and how to run a command that shall see the wheel and not the checkout."""
    return dict(cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(site), OMP_NUM_THREADS='1'))


def names(folder, *patterns):
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    return sorted(str(path.relative_to(folder)) for path in found)


def test_the_wheel_carries_configs_tools_and_the_model_index(site):
    carried = ('configs/**/*.py', 'tools/**/*.py', 'tools/dist_*.sh')
    mim = site / 'mmbackbones/.mim'
    index = names(ROOT / '.mim', '**/*.yml')
    assert names(mim, *carried, '**/*.yml') == sorted(names(ROOT, *carried) + index)
    assert names(mim, 'tools/*.*') == names(
        mim, 'tools/*.py', carried[2]
    )  # none that sets up a checkout
    assert os.access(mim / 'tools/dist_train.sh', os.X_OK)


def test_a_package_without_a_checkout_builds_what_its_configs_say(site, alone):
    path = run(sys.executable, '-m', 'mmbackbones', 'path', 'mask_rcnn_swin_t', **alone).stdout
    assert path == f'{site}/mmbackbones/.mim/configs/mask_rcnn_swin_t.py\n'
    said = run(sys.executable, '-c', BUILD, path.strip(), **alone).stdout.splitlines()
    assert said[0] == f'{site}/mmbackbones/__init__.py {__version__} (96, 192, 384, 768)'
    assert any(line.split()[:2] == ['light', 'detr_container_light'] for line in said), said


def test_a_tool_without_a_checkout_looks_for_data_where_it_was_called(site, alone):
    mim = site / 'mmbackbones/.mim'
    paths = (mim / 'tools/train.py', mim / 'configs/mask_rcnn_swin_t.py')
    error = run(sys.executable, *paths, code=2, **alone).stderr
    assert 'data/coco/annotations/instances_train2017.json is missing: download' in error


def test_a_folder_of_its_name_hides_no_editable_install(tmp_path):
    """As the folder above a clone has one."""
    (tmp_path / 'mmbackbones').mkdir()
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    code = 'import mmbackbones; print(mmbackbones.__version__)'
    said = run(sys.executable, '-c', code, cwd=tmp_path, env=env).stdout
    assert said.strip() == __version__


def test_names_lead_to_configs_tools_and_their_folders():
    config = str(ROOT / 'configs/mask_rcnn_swin_t.py')
    assert path_of('mask_rcnn_swin_t') == path_of('configs/mask_rcnn_swin_t.py') == config
    assert path_of('train') == path_of('tools/train.py') == str(ROOT / 'tools/train.py')
    assert path_of('configs') == str(ROOT / 'configs')
    with pytest.raises(FileNotFoundError, match=r'mask_rcn_swin_t; did you mean mask_rcnn_swin_t'):
        path_of('mask_rcn_swin_t')
    with pytest.raises(FileNotFoundError, match=r'or tool \?; look into .*configs'):
        path_of('?')


@pytest.mark.slow
def test_an_empty_environment_with_a_family_trains_and_tests(wheel, tmp_path):
    """Torch and the family are borrowed, not downloaded; their versions satisfy the extra."""
    pytest.importorskip('mmcv.ops')
    venv.create(tmp_path / 'venv')
    python = tmp_path / 'venv/bin/python'
    site = Path(run(python, '-c', 'import site; print(site.getsitepackages()[0])').stdout.strip())
    packages = [path for path in sys.path if path.endswith('-packages')]
    (site / 'borrowed.pth').write_text('\n'.join(packages))
    family = 'onedl' if doctor.installed(['onedl-mmengine']) else 'openmmlab'
    pip(python, 'install', '--ignore-installed', '--no-deps', wheel)
    pip(python, 'install', f'mmbackbones[{family}]')
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    here = dict(cwd=tmp_path, env=dict(env, OMP_NUM_THREADS='1'))
    run(python, '-m', 'mmbackbones', 'doctor', **here)
    find = [run(python, '-m', 'mmbackbones', 'path', name, **here) for name in ('train', 'test')]
    train, test = (done.stdout.strip() for done in find)
    assert train == f'{site}/mmbackbones/.mim/tools/train.py'
    before = names(site, '**/*')
    tiny = dict(train=16, val=2, size=64, batch_size=4, epochs=1)
    options = ('--demo', '--cfg-options', *(f'demo.{key}={value}' for key, value in tiny.items()))
    config = f'{site}/mmbackbones/.mim/configs/retinanet_container_light.py'
    run(python, train, config, *options, **here)
    work = 'work_dirs/retinanet_container_light_demo'
    assert 'bbox_mAP' in run(python, test, config, f'{work}/epoch_1.pth', *options, **here).stdout
    assert names(site, '**/*') == before
