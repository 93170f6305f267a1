"""What the pages say to paste works as pasted, in mm without our tools."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from lib.run_config import common_parser, load_config
from mmengine.dataset import Compose
from mmengine.registry import HOOKS, DefaultScope

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()
CONFIGS = (ROOT / 'configs/README.md').read_text()
DETECTOR, SEGMENTER = re.findall('```python\n(.*?)```', README, re.S)
(MMSEG_BASE,) = re.findall(
    r"```python\n(_base_ = \(\n    __import__\('mmseg'\).*?)```", CONFIGS, re.S
)
# In a process that has not imported this package: the scope of the type must do it.
LOAD = """
import json, sys
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
import torch
cfg = Config.fromfile(sys.argv[1])
init_default_scope(cfg.default_scope)
import_modules_from_strings([f'{cfg.default_scope}.models'])
if 'mmbackbones' in sys.modules:  # by its operators, which mmcv took for want of its own
    assert hasattr(sys.modules['mmcv._ext'], 'PLAIN')
cfg.model.backbone.init_cfg = None
model = MODELS.build(cfg.model).eval()
maps = model.extract_feat(torch.rand(1, 3, 64, 64))
if hasattr(model, 'decode_head'):
    maps = [model.decode_head(maps), model.auxiliary_head(maps)]
print(json.dumps([type(model.backbone).__name__, [list(each.shape) for each in maps]]))
"""


@pytest.mark.parametrize(
    ('base', 'lines', 'shapes'),
    [
        (
            "_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'\n",
            DETECTOR,
            [[1, 256, side, side] for side in (16, 8, 4, 2, 1)],
        ),
        (MMSEG_BASE, DETECTOR + SEGMENTER, [[1, 150, 16, 16], [1, 150, 4, 4]]),
    ],
    ids=['mmdet', 'mmseg'],
)
def test_the_lines_of_the_readme_work_in_configs_of_mm(base, lines, shapes, tmp_path):
    (tmp_path / 'config.py').write_text(base + lines)
    command = [sys.executable, '-W', 'ignore', '-c', LOAD, 'config.py']
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == ['DaViT', shapes]


def test_the_pages_agree_that_nothing_is_to_be_imported():
    assert 'custom_imports' not in README
    assert '`custom_imports` is not needed' in CONFIGS
    assert 'custom_imports' not in (ROOT / '.github/TROUBLESHOOTING.md').read_text()


LENGTHS = 'max_epochs', 'max_iters'
ASKED = re.findall(
    r'^\| (.*?) \| (`\w+\..*?|`custom_hooks.*?) \|$', (ROOT / 'tools/TRAINING.md').read_text(), re.M
)


@pytest.mark.parametrize(('what', 'cell'), ASKED, ids=[what for what, _ in ASKED])
def test_what_people_ask_for_are_settings_that_do_something(what, cell, tmp_path, monkeypatch):
    """Each is taken for a config that it is for, and every part that it names can be built."""
    monkeypatch.chdir(tmp_path)
    segmenter = what.startswith(('more steps', 'other crops'))
    config = ROOT / f'configs/{"upernet" if segmenter else "mask_rcnn"}_swin_t.py'
    parser = common_parser('', '')
    for text in re.findall(r'`((?:\w+\.|custom_hooks=).*?)`', cell):
        if text.endswith('.py'):
            continue
        args = parser.parse_args([str(config), '--cfg-options', *shlex.split(text)])
        cfg = load_config(args)
        assert args.cfg_options
        for key, value in args.cfg_options.items():
            found = cfg
            for name in key.split('.'):
                found = found[int(name) if name.isdigit() else name]
            assert found == value or value[0] in found
        for hook in args.cfg_options.get('custom_hooks', ()):
            assert HOOKS.build(hook)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            assert Compose(cfg.train_dataloader.dataset.pipeline)
        assert cfg.param_scheduler[-1].end == max(cfg.train_cfg.get(n, 0) for n in LENGTHS)
