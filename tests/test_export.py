"""Graphs of all backbones hold for any size: torch.export, ONNX, traces, torch.compile."""

import logging
import sys
from pathlib import Path

import export
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from export import OTHERS, compare, main
from families import FAMILIES, NAMES, build, every_class, gradients
from lib.engine_graphs import InParts, absorb_constants, capture, capture_for_engines
from lib.engines import (
    FORMATS,
    compile_as_usual,
    read_onnx,
    read_openvino,
    translate,
    write_onnx,
    write_openvino,
    write_script,
)
from torch._dynamo.testing import CompileCounterWithBackend

from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent
EXAMPLE = (2, 3, 150, 131)
ENDS = (2, 4), (288, 480), (288, 480)  # of the images, heights and widths to be compiled for
KINDS = ('clone', 'layer_norm', 'linear', 'scaled_dot_product_attention')
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
    """A small backbone and its graph for engines."""
    net = fixed(request.param, **FAMILIES[request.param].first)
    return net, capture_for_engines(absorb_constants(net), torch.randn(EXAMPLE), free=True)


@every_class
def test_the_graph_of_torch_export_holds_for_every_size(name):
    net = fixed(name, **FAMILIES[name].first)
    equal(net, capture(net, torch.randn(EXAMPLE), free=True).module(), SIZES)


def test_engines_give_the_same_for_every_size(exported, tmp_path):
    net, graph = exported
    path = str(tmp_path / 'net.onnx')
    translate(net, graph, path, True, 20)
    equal(net, read_onnx(path), ALL_SIZES)
    equal(net, read_openvino(path), ALL_SIZES)


@every_class
def test_engines_give_the_same_for_one_size(name, tmp_path):
    net, path = fixed(name, **FAMILIES[name].first), str(tmp_path / 'net.onnx')
    write_onnx(net, torch.randn(1, 3, 61, 97), path, False, 20)
    equal(net, read_onnx(path), [(1, 61, 97)])
    equal(net, read_openvino(path), [(1, 61, 97)])


def test_openvino_compiles_maxvit_in_its_default_precision(tmp_path):
    """Where the processor has bfloat16, that is it; with the shifts of trained norms it failed."""
    arch, path = dict(dims=[64], depths=[1], stem=64, parts='tensorflow'), str(tmp_path / 'net.xml')
    net = MODELS.build(dict(type='MaxViT', arch=arch, out_indices=(0,))).eval()
    for norm in [m for m in net.modules() if isinstance(m, torch.nn.LayerNorm)]:
        torch.nn.init.normal_(norm.bias, std=0.05)
    write_openvino(net.requires_grad_(False), torch.randn(1, 3, 64, 64), path, False, 20)
    compile_as_usual(path)


def test_graphs_for_engines_have_what_these_run_fast(exported):
    """Attention in parts, linear layers over (tokens, C), layer norms over at most three axes."""
    nodes = exported[1].graph.nodes
    called = {
        kind: [n for n in nodes if str(n.target).startswith(f'aten.{kind}.')] for kind in KINDS
    }
    assert not called['scaled_dot_product_attention'] + called['clone']
    of_tokens = [n for n in called['linear'] if isinstance(n.args[0].meta['val'].shape[-1], int)]
    assert {len(n.meta['val'].shape) for n in of_tokens} <= {2}
    flat = [n for n in called['layer_norm'] if len(n.meta['val'].shape) <= 3]
    others = [n.args[0] for n in called['layer_norm'] if n not in flat]
    assert all(len(n.args[0].users) > 1 for n in others)  # maps of convolutions that others read
    assert len(flat) > len(others)


@every_class
def test_a_trace_holds_for_every_size(name, tmp_path):
    net = fixed(name)
    write_script(net, torch.randn(EXAMPLE), str(tmp_path / 'net.ts'), True, None)
    equal(net, torch.jit.load(tmp_path / 'net.ts'), ALL_SIZES)


@pytest.mark.slow
@every_class
def test_all_stages_in_one_file(name, tmp_path):
    net = fixed(name)
    equal(net, capture(net, torch.randn(EXAMPLE), free=True).module(), SIZES)
    write_onnx(net, torch.randn(EXAMPLE), str(tmp_path / 'net.onnx'), True, 18)
    equal(net, read_onnx(str(tmp_path / 'net.onnx')), ALL_SIZES)
    write_openvino(net, torch.randn(EXAMPLE), str(tmp_path / 'net.xml'), True, 18)
    equal(net, read_openvino(str(tmp_path / 'net.xml')), ALL_SIZES)


@pytest.mark.slow
@every_class
def test_torch_compile_makes_whole_graphs_for_many_sizes(name):
    net = fixed(name, **FAMILIES[name].first)
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend='eager')
    with torch.no_grad():
        equal(net, compiled, [(2, 150, 131), *SIZES[:2]])


@pytest.mark.slow
@every_class
@pytest.mark.parametrize('training', [False, True])
def test_torch_compile_makes_one_graph_for_fifty_sizes(name, training):
    """For batches of several images; PyTorch takes a size of 1 for one of its own."""
    net = build(name).train(training)
    torch.compiler.reset()
    backend = CompileCounterWithBackend('eager')
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend=backend)
    random = torch.Generator().manual_seed(0)
    with torch.set_grad_enabled(training):
        for _ in range(50):
            batch, *sides = (int(torch.randint(*ends, (), generator=random)) for ends in ENDS)
            compiled(torch.randn(batch, 3, *sides))
    assert backend.frame_count == 1


@pytest.mark.slow
@every_class
def test_torch_compile_computes_the_same_gradients(name):
    """By inductor, for one size: PyTorch 2.13 cannot sort the strides of maps of free sizes."""
    net, images = build(name).train(), torch.randn(EXAMPLE)
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, dynamic=False)
    results = [gradients(each, images).values() for each in (compiled, net)]
    largest = max(grad.abs().max() for grad in results[1])
    for got, wanted in zip(*results, strict=True):
        assert (got - wanted).abs().max() <= 1e-4 * largest


@pytest.mark.parametrize(
    'options',
    [
        dict(size=(9, 4)),
        dict(size=(9, 4), align_corners=True),
        dict(size=(9, 4), antialias=True),
        dict(size=9),
        dict(scale_factor=2),
    ],
    ids=str,
)
def test_bicubic_resizing_in_parts_is_the_same(options):
    image = torch.randn(2, 3, 7, 5)
    expected = F.interpolate(image, mode='bicubic', **options)
    with InParts():
        resized = F.interpolate(image, mode='bicubic', **options)
    torch.testing.assert_close(resized, expected, atol=1e-5, rtol=0)


def test_a_difference_is_seen():
    net = fixed('SwinTransformer', **FAMILIES['SwinTransformer'].first)
    other = lambda image: [out + 1e-2 * out.std() for out in net(image)]  # noqa: E731
    differences = [difference for _, difference in compare(net, other, OTHERS)]
    assert len(differences) == 4
    assert all(abs(difference - 1e-2) < 1e-4 for difference in differences)
    cropped = lambda image: [out[:, :, 1:] for out in net(image)]  # noqa: E731
    assert next(compare(net, cropped, OTHERS))[1] == float('inf')


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
    small = ('--format', 'torchscript', '--cfg-options', 'out_indices=0')
    code, words = run('Container', *small, '--out', out)
    assert code == 0
    assert 'RANDOM WEIGHTS' in words
    assert torch.jit.load(out)(torch.rand(1, 3, 70, 50))[0].shape == (1, 64, 18, 13)


@pytest.mark.parametrize('form', ['onnx', 'openvino', 'torch-export'])
def test_half_precision_is_half_the_file(run, tmp_path, form):
    sizes, heavy = [], {'openvino': '.bin'}.get(form, FORMATS[form][0])
    for half in ([], ['--half']):
        out = tmp_path / f'net{len(half)}{FORMATS[form][0]}'
        small = ('--format', form, '--size', 64, 96, '--cfg-options', 'out_indices=0')
        code, words = run('Container', *half, *small, '--out', out)
        assert (code, words.count('64 │    96')) == (0, 1), words
        sizes.append(out.with_suffix(heavy).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


LEVELS = {  # what comes out of the head of a whole model, five levels each
    'retinanet': ('cls_scores', 'bbox_preds'),
    'mask_rcnn': ('features', 'cls_scores', 'bbox_preds'),
}


@pytest.mark.parametrize('size', [(64, 96), pytest.param((), marks=pytest.mark.slow)])
@pytest.mark.parametrize('method', [*LEVELS, 'upernet'])
def test_the_tool_exports_whole_models(run, tmp_path, method, size):
    dims, file, out = [16] * 4, tmp_path / 'small.py', tmp_path / 'whole.onnx'
    backbone = dict(arch=dict(_delete_=True, dims=dims, depths=[1] * 4, heads=[1] * 4))
    reader = 'decode_head' if method == 'upernet' else 'neck'
    model = {'backbone': backbone, reader: dict(in_channels=dims[method == 'retinanet' :])}
    file.write_text(f"_base_ = '{ROOT}/configs/{method}_swin_t.py'\nmodel = {model}")
    code, words = run(file, '--raw', '--out', out, *(('--size', *size) if size else ()))
    assert (code, words.count('e-0')) == (0, 1 if size else 4), words
    names = [f'{kind}{i}' for kind in LEVELS.get(method, ()) for i in range(5)] or ['logits']
    assert [output.name for output in onnxruntime.InferenceSession(out).get_outputs()] == names


def test_a_file_that_differs_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'TOLERANCE', {torch.float32: -1.0})
    small = ('--format', 'torchscript', '--cfg-options', 'out_indices=0')
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
        (['VOLO', '--size', '0', '64'], '--size and --batch take numbers from 1 up'),
        (['VOLO', '--whole'], '--raw needs a config file, and VOLO is none'),
        (
            ['configs/detr_container_light.py', '--raw'],
            'DETR has no dense head, and only such are exported',
        ),
        (
            ['configs/mask2former_semantic_swin_t.py', '--raw'],
            'EncoderDecoder has no dense head, and only such are exported',
        ),
        (['VOLO', '--format', 'openvino', '--out', 'a.onnx'], 'files of OpenVINO end in .xml'),
        (['configs/mask_rcnn_swin_t.py', '--arch', 'tiny'], '--arch is for a backbone by name'),
        (['VOLO', '--opset', '9'], '--opset is 9; take 18 or more'),
        (['VOLO', '--weights', 'none.pth'], 'none.pth'),
    ],
)
def test_the_tool_says_what_is_wrong(run, arguments, words):
    code, found = run(*arguments)
    assert code == 2
    assert words in found
