"""Graphs of all backbones hold for any size: torch.export, ONNX, traces, torch.compile."""

import logging
import sys
from pathlib import Path

import export
import onnxruntime
import pytest
import torch
from export import compare, main, program, read_onnx, translate, write_script
from families import FAMILIES, NAMES, build, every_class

ROOT = Path(__file__).parent.parent
EXAMPLE = (2, 3, 150, 131)
SIZES = [(1, 61, 97), (3, 40, 130), (1, 20, 33)]  # odd ones, and one below a window
ALL_SIZES = [*SIZES, (2, 64, 64), (4, 130, 257), (1, 1, 1), (1, 5, 1)]


def fixed(name, **kwargs):
    """A small net in evaluation that learns nothing more."""
    return build(name, **kwargs).eval().requires_grad_(False)


def equal(net, other, sizes):
    """Whether both give the same for images of these sizes, within 1e-4 of its spread."""
    for number, *side in sizes:
        image = torch.randn(number, 3, *side)
        for ours, theirs in zip(net(image), other(image), strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= 1e-4 * (0.1 + ours.std(correction=0))


@pytest.fixture(scope='module', autouse=True)
def _quiet():
    """PyTorch tells all about its symbols to whoever listens, as pytest does."""
    logging.disable(logging.DEBUG)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope='module', params=NAMES)
def exported(request):
    """A small backbone and its graph."""
    net = fixed(request.param, **FAMILIES[request.param].first)
    return net, program(net, torch.randn(EXAMPLE))


def test_the_graph_of_torch_export_holds_for_every_size(exported):
    net, graph = exported
    equal(net, graph.module(), SIZES)


def test_onnxruntime_gives_the_same_for_every_size(exported, tmp_path):
    net, graph = exported
    if type(net).__name__ == 'DaViT':
        pytest.skip('by the tool, below')
    path = str(tmp_path / 'net.onnx')
    translate(net, graph, path, 20)
    equal(net, read_onnx(path), ALL_SIZES)


@every_class
def test_a_trace_holds_for_every_size(name, tmp_path):
    net = fixed(name)
    write_script(net, torch.randn(EXAMPLE), str(tmp_path / 'net.ts'), None)
    equal(net, torch.jit.load(tmp_path / 'net.ts'), ALL_SIZES)


@pytest.mark.slow
@every_class
def test_all_stages_in_one_file(name, tmp_path):
    net = fixed(name)
    graph = program(net, torch.randn(EXAMPLE))
    equal(net, graph.module(), SIZES)
    translate(net, graph, str(tmp_path / 'net.onnx'), 18)
    equal(net, read_onnx(str(tmp_path / 'net.onnx')), ALL_SIZES)


@pytest.mark.slow
@every_class
def test_torch_compile_makes_whole_graphs_for_many_sizes(name):
    net = fixed(name, **FAMILIES[name].first)
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend='eager')
    with torch.no_grad():
        equal(net, compiled, [(2, 150, 131), *SIZES[:2]])


def test_a_difference_is_seen():
    net = fixed('SwinTransformer', **FAMILIES['SwinTransformer'].first)
    other = lambda image: [out + 1e-2 * out.std() for out in net(image)]  # noqa: E731
    differences = [difference for _, difference in compare(net, other, (64, 64))]
    assert len(differences) == 4
    assert all(abs(difference - 1e-2) < 1e-4 for difference in differences)
    cropped = lambda image: [out[:, :, 1:] for out in net(image)]  # noqa: E731
    assert next(compare(net, cropped, (64, 64)))[1] == float('inf')


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that runs the tool and gives its exit status and what it wrote."""

    def function(*arguments):
        monkeypatch.setattr(sys, 'argv', ['export.py', *map(str, arguments)])
        try:
            main()
        except SystemExit as done:
            return done.code, ''.join(capsys.readouterr())
        return 0, ''.join(capsys.readouterr())

    return function


def test_the_tool_exports_the_backbone_of_a_config(run, tmp_path):
    """With the weights of a whole detector, into a file that names and frees its sizes."""
    settings = FAMILIES['DaViT'].first
    net = fixed('DaViT', **settings)
    torch.save({f'backbone.{k}': v for k, v in net.state_dict().items()}, tmp_path / 'all.pth')
    config, out = tmp_path / 'tiny.py', tmp_path / 'tiny.onnx'
    config.write_text(f"model = dict(backbone=dict(type='mmbackbones.DaViT', **{settings}))")
    code, words = run(config, '--weights', tmp_path / 'all.pth', '--out', out)
    assert (code, words.count('e-0')) == (0, 4)
    assert 'RANDOM' not in words
    session = onnxruntime.InferenceSession(out)
    assert session.get_inputs()[0].shape == ['batch', 3, 'height', 'width']
    assert [output.name for output in session.get_outputs()] == ['stride4']
    equal(net, read_onnx(str(out)), ALL_SIZES)


def test_the_tool_exports_a_published_size(run, tmp_path):
    out = tmp_path / 'light.ts'
    small = ('--format', 'torchscript', '--shape', '64x96', '--cfg-options', 'out_indices=0')
    code, words = run('Container', *small, '--out', out)
    assert code == 0
    assert 'RANDOM WEIGHTS' in words
    assert torch.jit.load(out)(torch.rand(1, 3, 70, 50))[0].shape == (1, 64, 18, 13)


def test_a_file_that_differs_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'TOLERANCE', -1.0)
    small = ('--format', 'torchscript', '--shape', '64x96', '--cfg-options', 'out_indices=0')
    code, _ = run('Container', *small, '--out', tmp_path / 'light.ts')
    assert 'light.ts differs from PyTorch by more than -1.0' in code


def test_a_missing_package_is_named(run, monkeypatch):
    monkeypatch.setattr(export, 'find_spec', lambda name: name != 'onnxscript' or None)
    code, words = run('DaViT')
    assert code == 2
    assert "onnxscript missing: pip install -e '.[export]'" in words


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['ResNet'], 'ResNet is neither a config file nor one of'),
        (['VOLO', '--arch', 'd9'], "arch is 'd9'; choose from d1, d2, d3, d4, d5"),
        (['VOLO', '--cfg-options', 'window=7'], 'VOLO has no argument window; it has arch'),
        (['VOLO', '--shape', '64'], '--shape is 64; give height and width, as in 224x288'),
        (['configs/mask_rcnn_swin_t.py', '--arch', 'tiny'], '--arch is for a backbone by name'),
        (['VOLO', '--opset', '9'], '--opset is 9; take 18 or more'),
        (['VOLO', '--weights', 'none.pth'], 'none.pth'),
    ],
)
def test_the_tool_says_what_is_wrong(run, arguments, words):
    code, found = run(*arguments)
    assert code == 2
    assert words in found
