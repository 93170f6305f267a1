"""The benchmark measures, shows and keeps; peers that need other packages are left out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import benchmark
import cv2
import pytest
import torch
from benchmark import activations, builders, command_line, complete, engine, prepared, shapes
from lib.peers import KNOWN, PEERS, ours, plain, plain_container
from lib.usage import run_tool

from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent


def test_it_measures_shows_and_keeps(tmp_path, call_tool, monkeypatch):
    def in_this_process(command, **_):
        """Measure a peak here: in a process of its own, it would take seconds to begin."""
        code, peak, _ = call_tool(Path(command[1]).stem, *command[2:])
        return SimpleNamespace(returncode=code, stdout=peak)

    monkeypatch.setattr(benchmark, 'subprocess', SimpleNamespace(run=in_this_process))
    out, words = tmp_path / 'figures.json', 'Container --peers paper --malloc glibc --mode training'
    small = ('--shape', '32x64', '--stream', 2, '--rounds', 1)
    code, said, errors = call_tool('benchmark', *words.split(), *small, '--out', out)
    assert code == 0, errors
    assert 'share of matmul rate' in said
    kept = json.loads(out.read_text())
    assert set(kept['figures']) == {'ours', 'paper'}
    assert kept['machine']['torch'] == torch.__version__
    for row in kept['figures'].values():
        assert len(row['seconds']) == len(row['ratios']) == 1
        assert min(row['median'], row['share'], row['activations']) > 0
        assert row['peak'] >= 0  # nothing, where other tests left memory of this process free
    assert kept['figures']['ours']['ratio'] == 1
    assert cv2.imread(str(out.with_suffix('.png'))).std() > 5


def test_an_engine_runs_a_net_of_others():
    """As PyTorch exports it; how ours are exported, test_export.py tests."""
    net, image = torch.nn.Conv2d(3, 4, 3).eval(), torch.randn(1, 3, 8, 8)
    run = engine(net, 'onnxruntime', SimpleNamespace(batch=1, shape=(8, 8), threads=1))
    (found,) = run(image)
    torch.testing.assert_close(torch.as_tensor(found), net(image), atol=1e-5, rtol=0)


def test_only_ours_runs_a_stream_of_shapes_on_engines(monkeypatch):
    words = 'benchmark.py VOLO --peers timm --backend eager openvino --stream 2'
    monkeypatch.setattr(sys, 'argv', words.split())
    assert list(builders(run_tool(command_line, complete))) == [
        'ours eager',
        'timm eager',
        'ours openvino',
    ]


def test_engines_do_not_train(call_tool):
    words = 'Container --backend openvino --mode training'
    code, _, errors = call_tool('benchmark', *words.split())
    assert code == 2
    assert 'openvino: inference in float32 on the cpu only' in errors


def test_who_cannot_be_exported_is_left_out(monkeypatch, capsys):
    def fail(*args):
        raise torch.onnx.OnnxExporterError('too hard')

    monkeypatch.setattr(benchmark, 'contestant', fail)
    assert not list(prepared(None, {'theirs': (None, 'openvino')}))
    words = 'theirs is left out, as it cannot be exported: too hard'
    assert words in ''.join(capsys.readouterr())


def test_what_it_does_not_know_is_named(call_tool):
    code, *_ = call_tool('benchmark', 'DaViT', '--peers', 'keras')
    assert code == 'DaViT has no peer keras; it has ours, plain, timm, mmpretrain'


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
