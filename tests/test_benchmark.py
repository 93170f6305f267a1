"""The benchmark measures, shows and keeps; peers that need other packages are left out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import benchmark
import cv2
import pytest
import torch
from benchmark import activations, builders, parse, prepared, shapes
from lib.peers import KNOWN, PEERS, ours, plain, plain_container

from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools/benchmark.py'), *map(str, arguments)],
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )


def test_it_measures_shows_and_keeps(tmp_path):
    out = tmp_path / 'figures.json'
    small = ('--shape', '32x64', '--stream', 2, '--rounds', 3, '--mode', 'training')
    done = run('Container', '--peers', 'paper', *small, '--out', out)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'share of matmul rate' in done.stdout
    kept = json.loads(out.read_text())
    assert set(kept['figures']) == {'ours', 'paper'}
    assert kept['machine']['torch'] == torch.__version__
    for row in kept['figures'].values():
        assert len(row['seconds']) == len(row['ratios']) == 3
        assert min(row['median'], row['share'], row['activations'], row['peak']) > 0
    assert kept['figures']['ours']['ratio'] == 1
    assert cv2.imread(str(out.with_suffix('.png'))).std() > 5


def test_engines_run_the_files_of_everybody(tmp_path):
    out, backends = tmp_path / 'figures.json', ('eager', 'onnxruntime', 'openvino')
    small = ('--shape', '32x64', '--rounds', 1, '--peers', 'paper', '--any-size')
    done = run('Container', *small, '--backend', *backends, '--out', out)
    assert done.returncode == 0, done.stderr[-2000:]
    kept = json.loads(out.read_text())
    assert list(kept['figures']) == [f'{who} {b}' for b in backends for who in ('ours', 'paper')]
    assert kept['figures']['ours eager']['ratio'] == 1
    assert {'onnxruntime', 'openvino'} <= set(kept['machine'])


def test_only_ours_runs_a_stream_of_shapes_on_engines(monkeypatch):
    words = 'benchmark.py VOLO --peers timm --backend eager openvino --stream 2'
    monkeypatch.setattr(sys, 'argv', words.split())
    assert list(builders(parse())) == ['ours eager', 'timm eager', 'ours openvino']


def test_engines_do_not_train():
    done = run('Container', '--backend', 'openvino', '--mode', 'training')
    assert done.returncode == 2
    assert 'openvino: inference in float32 on the cpu only' in done.stderr


def test_who_cannot_be_exported_is_left_out(monkeypatch, capsys):
    def fail(*args):
        raise torch.onnx.OnnxExporterError('too hard')

    monkeypatch.setattr(benchmark, 'contestant', fail)
    assert not list(prepared(None, {'theirs': (None, 'openvino')}))
    words = 'theirs is left out, as it cannot be exported: too hard'
    assert words in ''.join(capsys.readouterr())


def test_what_it_does_not_know_is_named():
    done = run('DaViT', '--peers', 'keras')
    assert done.returncode == 1
    assert 'DaViT has no peer keras; it has ours, plain, timm, mmpretrain' in done.stderr


def test_every_class_can_be_measured_and_every_peer_is_of_a_class():
    assert set(KNOWN) <= set(PEERS) == set(MODELS.module_dict)


@pytest.mark.parametrize('name', ['SwinTransformer', 'Container'])
def test_plain_peers_do_the_same_work(name):
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        shapes_ = [[out.shape for out in net(x)] for net in (ours(name), plain(name))]
        paper = [out.shape for out in plain_container()(x)]
    assert shapes_[0] == shapes_[1]
    assert name != 'Container' or paper == shapes_[0]
    counts = [sum(p.numel() for p in net.parameters()) for net in (ours(name), plain(name))]
    assert counts[0] == counts[1]


def test_the_paper_block_has_the_parameters_of_ours():
    """But for the mixing weight, which it has in every block."""
    numbers = [
        sum(p.numel() for p in net.parameters()) for net in (ours('Container'), plain_container())
    ]
    assert numbers[1] - numbers[0] == 3 + 4 + 8


def test_a_stream_has_different_shapes_of_equal_size():
    class Arguments:
        stream, shape = 20, (800, 1200)

    found = shapes(Arguments)
    assert len(set(found)) == 20
    assert all(abs(h * w / (800 * 1200) - 1) < 0.01 for h, w in found)


def test_activations_count_each_storage_once_and_no_parameters():
    net = torch.nn.Linear(8, 8)

    class Run:
        def forward(self, x):
            y = net(x)
            return (y.exp() * y[:, :4].exp().repeat(1, 2)).sum()

    found = activations(Run(), torch.randn(2, 8))
    assert 0 < found <= 5 * 2 * 8 * 4


@pytest.mark.slow
def test_the_check_of_a_gpu_writes_one_report(tmp_path):
    command = ['bash', str(ROOT / 'tools/gpu_check.sh'), '--quick', '--device', 'cpu']
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    out = ('--out', str(tmp_path), 'Container')
    done = subprocess.run([*command, *out], env=environment, cwd=ROOT, text=True, check=False)
    report = (tmp_path / 'report.md').read_text()
    assert (done.returncode, report.count('failed')) == (0, 0)
    assert report.count('share of matmul rate') == 4
    assert '[1][2/2]' in report


def test_the_check_of_a_gpu_says_what_is_missing(tmp_path):
    command = ['bash', str(ROOT / 'tools/gpu_check.sh'), '--out', str(tmp_path)]
    for arguments, words in (
        (['--device', 'none'], 'PyTorch cannot compute on none; take --device cpu --quick'),
        (['--fast'], 'there is no option --fast'),
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, words in done.stderr) == (2, True)
