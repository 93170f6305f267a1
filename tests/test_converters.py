"""Converters that know nothing of this package get every backbone right, at every size.

What `tools/export.py` does for engines is in test_export.py; here each library has its own way.
"""

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from exporting import quick_for_some
from families import FAMILIES, build, every_class
from lib.engines import read_onnx, read_openvino
from torch.export import Dim
from versions import needs_exporter

pytestmark = pytest.mark.usefixtures('without_logs')
EXAMPLE = (2, 3, 200, 264)
SIZES = [(1, 3, 320, 352), (2, 3, 250, 301)]
FREE = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)


def difference(net, other, size):
    """The largest difference of two nets' maps, in standard deviations of the map."""
    image = torch.randn(size, generator=torch.Generator().manual_seed(size[2]))
    with torch.no_grad():
        pairs = list(zip(net(image), other(image), strict=True))
    assert [ours.shape for ours, _ in pairs] == [theirs.shape for _, theirs in pairs]
    return max(((ours - theirs).abs().max() / ours.std()).item() for ours, theirs in pairs)


def equal(net, other, sizes=SIZES):
    """Whether two nets give the same maps, within 2e-5 of their deviations."""
    for size in sizes:
        assert difference(net, other, size) <= 2e-5


def openvino_of(net, path, example):
    """What OpenVINO makes of a net of PyTorch."""
    openvino.save_model(openvino.convert_model(net, example_input=example), path, False)
    return read_openvino(path)


def onnx_of(net, path, example, shapes=FREE):
    """What PyTorch's exporter to ONNX makes of it."""
    torch.onnx.export(
        *(net, (example,), path),
        input_names=['image'],
        dynamic_shapes=shapes,
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    return read_onnx(path)


@every_class
@pytest.mark.parametrize('batch', [pytest.param(1, marks=pytest.mark.slow), 2])
def test_jit_trace(name, batch):
    """With its own check, which runs the net without gradients and compares the graphs."""
    net = build(name, with_cp=True).eval()
    equal(net, torch.jit.trace(net, torch.randn(batch, *EXAMPLE[1:])))


@every_class
def test_openvino_reads_the_net(name, tmp_path):
    net = build(name, **FAMILIES[name].first).eval()
    equal(net, openvino_of(net, str(tmp_path / 'net.xml'), torch.randn(EXAMPLE)))


@needs_exporter
@quick_for_some
def test_onnx_of_any_size(name, tmp_path):
    net = build(name, **FAMILIES[name].first).eval()
    equal(net, onnx_of(net, str(tmp_path / 'net.onnx'), torch.randn(EXAMPLE)))


@pytest.mark.slow
@every_class
def test_all_stages_by_engines(name, tmp_path):
    net = build(name).eval()
    equal(net, openvino_of(net, str(tmp_path / 'net.xml'), torch.randn(1, *EXAMPLE[1:])))
    equal(net, onnx_of(net, str(tmp_path / 'net.onnx'), torch.randn(EXAMPLE)))


@every_class
def test_what_is_exported_under_autocast_runs_outside_it(name):
    net = build(name, **FAMILIES[name].first).eval()
    image = torch.randn(2, 3, 61, 98)
    with torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16):
            graph = torch.export.export(net, (image,), strict=False).module()
            assert difference(net, graph, image.shape) < 0.05
        assert difference(net, graph, image.shape) < 0.05


@every_class
def test_an_exported_graph_can_learn(name):
    """All that the net learns has the same gradient: no grad mode is frozen into the graph."""
    net, image = build(name, **FAMILIES[name].first).eval(), torch.randn(2, 3, 61, 98)
    with torch.no_grad():
        graph = torch.export.export(net, (image,), strict=False).module()
    learned = dict(net.named_parameters())
    grads = [
        torch.autograd.grad(sum(out.square().mean() for out in each(image)), parameters)
        for each, parameters in (
            (net, list(learned.values())),
            (graph, [graph.get_parameter(key) for key in learned]),
        )
    ]
    largest = max(grad.abs().max() for grad in grads[0])
    for want, got in zip(*grads, strict=True):
        assert (got - want).abs().max() <= 1e-5 * largest


@every_class
def test_tensors_of_graphs_have_five_axes_at_most(name):
    """As many as Core ML and the processors of phones take."""
    net = build(name, **FAMILIES[name].first).eval()
    nodes = torch.export.export(net, (torch.randn(1, 3, 61, 98),), strict=False).graph.nodes
    ranks = {
        (str(node.target), node.meta['val'].dim())
        for node in nodes
        if isinstance(node.meta.get('val'), torch.Tensor)
    }
    assert {rank for rank in ranks if rank[1] > 5} == set()


@pytest.mark.slow
@every_class
def test_coremltools_converts_a_trace(name):
    coremltools = pytest.importorskip('coremltools')
    trace = torch.jit.trace(build(name).eval(), torch.randn(1, *EXAMPLE[1:]))
    shapes = [coremltools.TensorType(shape=(1, *EXAMPLE[1:]))]
    target = coremltools.target.iOS17
    assert coremltools.convert(
        trace, inputs=shapes, minimum_deployment_target=target, skip_model_load=True
    )


def photographs(count):
    """Images that are smooth, for calibration."""
    for _ in range(count):
        coarse = torch.randn(2, 3, 32, 38)
        smooth = torch.nn.functional.interpolate(coarse, SIZES[1][2:], mode='bicubic')
        yield (smooth + 0.3 * torch.randn_like(smooth)).numpy()


def rounding(net, quantised):
    """The spread of what quantisation changes in each map, in standard deviations of the map."""
    image = torch.from_numpy(next(photographs(1)))
    with torch.no_grad():
        pairs = zip(net(image), quantised(image), strict=True)
    return max(((ours - theirs).std() / ours.std()).item() for ours, theirs in pairs)


@pytest.mark.slow
@every_class
def test_static_quantisation_by_onnxruntime(name, tmp_path):
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Images(CalibrationDataReader):
        images = photographs(3)

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {'image': image}

    net, path = build(name).eval(), str(tmp_path / 'net.onnx')
    onnx_of(net, path, torch.randn(SIZES[1]), None)
    quantize_static(path, path.replace('net', 'int8'), Images(), per_channel=True)
    session = onnxruntime.InferenceSession(path.replace('net', 'int8'))

    def run(image):
        return map(torch.from_numpy, session.run(None, {'image': image.numpy()}))

    assert rounding(net, run) < 0.15


@pytest.mark.slow
@every_class
def test_quantisation_by_nncf(name):
    nncf = pytest.importorskip('nncf')
    net = build(name).eval()
    model = openvino.convert_model(net, example_input=torch.randn(SIZES[1]))
    images = nncf.Dataset(list(photographs(3)))
    model = nncf.quantize(model, images, model_type=nncf.ModelType.TRANSFORMER)
    compiled = openvino.compile_model(model, 'CPU', dict(INFERENCE_PRECISION_HINT='f32'))

    def run(image):
        return [torch.tensor(np.array(out)) for out in compiled(image.numpy()).values()]

    assert rounding(net, run) < 0.15
