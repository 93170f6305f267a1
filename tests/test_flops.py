"""The FLOPs of the published classifiers, and the tool that counts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from families import FAMILIES, NAMES
from get_flops import count

from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent
# What the authors report, in G, for images of this side. Their maps fill their windows, so that
# nothing depends on padding.
PUBLISHED = [(name, *row) for name in NAMES for row in FAMILIES[name].flops]


@pytest.mark.parametrize(('name', 'arch', 'kwargs', 'side', 'published'), PUBLISHED)
def test_flops_are_those_of_the_papers(name, arch, kwargs, side, published):
    with torch.device('meta'):
        net = MODELS.get(name)(arch, **kwargs).eval()
        image = torch.empty(1, 3, side, side)
    assert count(lambda: net(image))['Global'] / 1e9 == pytest.approx(published, rel=0.025)


def run(*arguments):
    return subprocess.run(
        [sys.executable, 'tools/get_flops.py', *arguments],
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_tool_shows_all_sizes_of_a_backbone():
    done = run('DaViT', '--shape', '224', '224')
    rows = [line.split() for line in done.stdout.splitlines() if line.endswith('G')]
    assert ['tiny', '27,592,512', '4.5G'] in rows
    assert len(rows) == 6


def test_the_tool_shows_the_parts_of_a_model():
    pytest.importorskip('mmdet')
    done = run('configs/mask_rcnn_swin_t.py', '--shape', '64', '64')
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if 'param' in line}
    assert rows['whole'][1] == '47,794,602'
    flops = {name: float(row[3].rstrip('G')) for name, row in rows.items()}
    assert all(flops.values())
    assert flops.pop('whole') == pytest.approx(sum(flops.values()), abs=0.3)


def test_the_tool_names_what_it_does_not_know():
    done = run('ResNet')
    assert done.returncode == 2
    assert 'ResNet is neither a config file nor one of' in done.stderr
    assert 'Traceback' not in done.stderr


def test_the_tool_takes_what_mmsegs_takes():
    done = run('SwinTransformer', '--shape', '224', '--cfg-options', 'window_size=12')
    assert '224 x 224' in done.stdout
    assert '27,570,378' in done.stdout  # the larger tables
    done = run('SwinTransformer', '--shape', '1', '2', '3')
    assert 'give height and width, or one side' in done.stderr
