"""Graphs of all backbones hold for any size: torch.export, ONNX, traces, torch.compile."""

from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F
from export import OTHERS, compare
from exporting import ALL_SIZES, SIZES, equal, fixed, quick_for_some
from families import FAMILIES, NAMES, build, every_class, gradients
from lib.engine_graphs import InParts, absorb_constants, capture, capture_for_engines
from lib.engines import (
    compile_as_usual,
    read_onnx,
    read_openvino,
    translate,
    write_onnx,
    write_openvino,
    write_script,
)
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from versions import needs_exporter

from mmbackbones.registry import MODELS

pytestmark = pytest.mark.usefixtures('without_logs')
ROOT = Path(__file__).parent.parent
EXAMPLE = (2, 3, 150, 131)
ENDS = (2, 4), (288, 480), (288, 480)  # of the images, heights and widths to be compiled for
KINDS = ('clone', 'layer_norm', 'linear', 'scaled_dot_product_attention')


@pytest.fixture(scope='module', params=NAMES)
def exported(request):
    """A small backbone and its graph for engines."""
    net = fixed(request.param, **FAMILIES[request.param].first)
    return net, capture_for_engines(absorb_constants(net), torch.randn(EXAMPLE), free=True)


@quick_for_some
def test_the_graph_of_torch_export_holds_for_every_size(name):
    """Of each family too in the files for engines, which are made from such graphs."""
    net = fixed(name, **FAMILIES[name].first)
    equal(net, capture(net, torch.randn(EXAMPLE), free=True).module(), SIZES)


@needs_exporter
def test_engines_give_the_same_for_every_size(exported, tmp_path):
    net, graph = exported
    path = str(tmp_path / 'net.onnx')
    translate(net, graph, path, True, 20)
    equal(net, read_onnx(path), ALL_SIZES)
    equal(net, read_openvino(path), ALL_SIZES)


class Crops(nn.Module):
    """Something for each of some finds, and maps of the picture, which is cropped to two sizes."""

    output_names, counted_outputs = ('masks', 'scores', 'map'), ('masks', 'scores')

    def __init__(self):
        super().__init__()
        self.axes = {2: 'height', 3: 'width'}

    def forward(self, image):
        scores = image[0, 0, 0, ::7]
        masks = scores[:, None, None] * image[0, 0, :-3, :-5]
        return masks, scores, image[0, 1, 2:, 4:]


@needs_exporter
def test_sizes_of_one_name_are_equal_in_files(tmp_path):
    """Engines use the memory of one for the other."""
    path = str(tmp_path / 'crops.onnx')
    write_onnx(Crops(), torch.rand(1, 3, 40, 56), path, True, 20)
    shapes = {
        value.name: [size.dim_param for size in value.type.tensor_type.shape.dim]
        for value in onnx.load(path).graph.output
    }
    masks, scores, cropped = shapes['masks'], shapes['scores'], shapes['map']
    assert scores == ['n'] == masks[:1]
    assert masks[1:] == ['height_masks', 'width_masks']
    assert cropped == ['height_map', 'width_map']


@needs_exporter
@quick_for_some
def test_engines_give_the_same_for_one_size(name, tmp_path):
    net, path = fixed(name, **FAMILIES[name].first), str(tmp_path / 'net.onnx')
    write_onnx(net, torch.randn(1, 3, 61, 97), path, False, 20)
    equal(net, read_onnx(path), [(1, 61, 97)])
    equal(net, read_openvino(path), [(1, 61, 97)])


@needs_exporter
def test_openvino_compiles_maxvit_in_its_default_precision(tmp_path):
    """Where the processor has bfloat16, that is it; with the shifts of trained norms it failed."""
    arch, path = dict(dims=[64], depths=[1], stem=64, parts='tensorflow'), str(tmp_path / 'net.xml')
    net = MODELS.build(dict(type='MaxViT', arch=arch, out_indices=(0,))).eval()
    for norm in [m for m in net.modules() if isinstance(m, torch.nn.LayerNorm)]:
        torch.nn.init.normal_(norm.bias, std=0.05)
    write_openvino(net.requires_grad_(False), torch.randn(1, 3, 64, 64), path, False, 20)
    compile_as_usual(path)


@needs_exporter
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

    def other(image):
        return [out + 1e-2 * out.std() for out in net(image)]

    def cropped(image):
        return [out[:, :, 1:] for out in net(image)]

    differences = [difference for _, difference in compare(net, other, OTHERS)]
    assert len(differences) == 4
    assert all(abs(difference - 1e-2) < 1e-4 for difference in differences)
    assert next(compare(net, cropped, OTHERS))[1] == float('inf')
