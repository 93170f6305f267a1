"""INT8 files are small and near float32; what they are compared with and made from is right."""

import argparse
from importlib.util import find_spec

import cv2
import numpy as np
import onnx
import pytest
import torch
from deploy_files import write
from families import FAMILIES, build
from lib import quantization
from lib.engines import write_onnx
from lib.quantization import (
    about_backbone,
    as_input,
    difference,
    normalised,
    open_model,
    quantise,
    read_pictures,
)
from onnx import TensorProto, helper, numpy_helper
from versions import needs_exporter

pytestmark = needs_exporter
SMALL = ('--size', 64, 96, '--cfg-options', 'out_indices=0')
FORMATS = [
    'onnx',
    pytest.param('openvino', marks=pytest.mark.skipif(not find_spec('nncf'), reason='no nncf')),
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Pictures of noise, and a file that is none."""
    path, random = tmp_path_factory.mktemp('pictures'), np.random.default_rng(0)
    for number in range(5):
        noise = random.integers(0, 256, (40 + number, 60, 3), np.uint8)
        cv2.imwrite(str(path / f'{number}.png'), noise)
    (path / 'damaged.jpg').write_bytes(b'none')
    return path


def settings(**changes):
    """Arguments as the tool has them."""
    usual = dict(model='VOLO', weights=None, size=None, batch=1, pictures=8, cfg_options={})
    return argparse.Namespace(**usual | dict(format='onnx', test=False) | changes)


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.filterwarnings('ignore:passed over')
def test_the_tool_writes_int8(call_tool, tmp_path, folder, form):
    out = tmp_path / ('net.onnx' if form == 'onnx' else 'net.xml')
    arguments = ('Container', '--format', form, *SMALL, '--out', out)
    code, words, _ = call_tool('export', *arguments, '--int8', folder, '--pictures', 2)
    assert code == 0, words
    line = next(line for line in words.splitlines() if line.startswith('│ INT8 '))
    size, error = float(line.split('│')[2]), float(line.split('│')[5])
    assert size == pytest.approx(sum(p.stat().st_size for p in tmp_path.iterdir()) / 1e6, abs=0.1)
    whole = float(next(li for li in words.splitlines() if '│ float32' in li).split('│')[2])
    assert size < 0.5 * whole
    assert 0 < error < 0.1
    assert '2 pictures to quantise, 5 to compare' in words


def test_no_weights_are_cut_in_a_file(tmp_path):
    """Each is read where it is used: quantisers pass over others."""
    path = str(tmp_path / 'net.onnx')
    net = build('SwinTransformer', **FAMILIES['SwinTransformer'].first).eval()
    with torch.no_grad():
        write_onnx(net, torch.randn(1, 3, 64, 96), path, False, 20)
    graph = onnx.load(path).graph
    weights = {each.name for each in graph.initializer if np.prod(each.dims) > 64}
    readers = {node.op_type for node in graph.node if set(node.input) & weights}
    assert 'Gemm' in readers
    assert not readers & {'Split', 'Slice', 'Reshape', 'Transpose', 'Unsqueeze'}


def write_convolutions(path):
    """A segmenter of two convolutions, the second of which can be in INT8."""
    random = np.random.default_rng(0)
    weights = [random.normal(size=(8, 3, 3, 3)), random.normal(size=(4, 8, 3, 3))]
    constants = [numpy_helper.from_array(w.astype(np.float32)) for w in weights]
    nodes = [
        helper.make_node('Cast', ['image'], ['numbers'], to=TensorProto.FLOAT),
        helper.make_node('Unsqueeze', ['numbers', 'zero'], ['batch']),
        helper.make_node('Transpose', ['batch'], ['x'], perm=[0, 3, 1, 2]),
        helper.make_node('Conv', ['x', 'w0'], ['y'], pads=[1] * 4, name='first'),
        helper.make_node('Relu', ['y'], ['z']),
        helper.make_node('Conv', ['z', 'w1'], ['s'], pads=[1] * 4, name='second'),
        helper.make_node('ArgMax', ['s'], ['best'], axis=1, keepdims=0),
        helper.make_node('Squeeze', ['best', 'zero'], ['one']),
        helper.make_node('Cast', ['one'], ['classes'], to=TensorProto.UINT8),
    ]
    zero = numpy_helper.from_array(np.array([0]))
    names = {'zero': zero, 'w0': constants[0], 'w1': constants[1]}
    first = [helper.make_node('Constant', [], [name], value=v) for name, v in names.items()]
    sizes = dict(classes=('uint8', ['height', 'width']))
    return write(path, sizes, first + nodes, task='semantic')


@pytest.mark.filterwarnings('ignore:passed over')
def test_a_whole_file_keeps_what_it_says(tmp_path, folder, capsys):
    path = write_convolutions(tmp_path / 'whole.onnx')
    before = open_model(path, settings()).about
    quantise(path, settings(int8=folder))
    model = onnx.load(path)
    known = {each.name: each for each in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    assert [node.name for node in convolutions] == ['first', 'second']
    assert convolutions[0].input[1] in known  # in float
    assert convolutions[1].input[1] not in known
    assert TensorProto.INT8 in {each.data_type for each in known.values()}
    assert open_model(path, settings()).about == before
    kept = next(li for li in capsys.readouterr().out.splitlines() if '│ INT8' in li).split('│')[-2]
    assert 0.8 < float(kept) <= 1


def test_images_are_as_the_config_says(tmp_path):
    config = tmp_path / 'config.py'
    processor = dict(mean=[1.0, 2.0, 3.0], std=[2.0, 2.0, 4.0], bgr_to_rgb=False)
    config.write_text(f'model = dict(backbone=dict(type="VOLO"), data_preprocessor={processor})')
    about = about_backbone(settings(model=str(config)))
    assert (about['mean'], about['channels']) == ([1, 2, 3], 'bgr')
    assert about_backbone(settings())['mean'] == [123.675, 116.28, 103.53]
    picture = np.array([[[30, 20, 10]]], np.uint8)
    image = normalised(picture, **{key: about[key] for key in ('mean', 'std', 'channels')})
    assert image.tolist() == [[[4.5]], [[9.0]], [[6.75]]]


@pytest.mark.filterwarnings('ignore:passed over')
def test_other_pictures_measure_where_there_are_enough(tmp_path, folder):
    model = open_model(write(tmp_path / 'file.onnx', dict(labels=np.zeros(1, int))), settings())
    same = read_pictures(model, settings(int8=folder, pictures=3))
    assert [len(part) for part in same] == [3, 5]
    many = tmp_path / 'many'
    many.mkdir()
    for number in range(40):
        cv2.imwrite(str(many / f'{number:02}.png'), np.full((8, 12, 3), number, np.uint8))
    parts = read_pictures(model, settings(int8=many, pictures=32))
    values = [{int(image.max()) for image in part} for part in parts]
    assert [len(part) for part in values] == [32, 8]
    assert not values[0] & values[1]
    assert as_input(model, parts[0][0]).shape == (80, 120, 3)


def test_differences_are_measured():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 40], [5, 5, 9, 9]], np.float32)
    found = dict(boxes=boxes, scores=np.array([0.9, 0.8, 0.7]), labels=np.array([1, 2, 3]))
    other = dict(found, boxes=boxes + [0, 0, 1, 1], labels=np.array([1, 2, 4]))
    assert difference(found, found) == dict(kept=1)
    assert difference(other, found) == dict(kept=pytest.approx(2 / 3))
    nothing = {name: value[:0] for name, value in found.items()}
    assert [difference(*pair)['kept'] for pair in ((nothing, found), (found, nothing))] == [0, 0]
    assert difference(nothing, nothing) == dict(kept=1)
    maps = dict(panoptic=np.array([[1003, 5, 7]])), dict(panoptic=np.array([[2003, 5, 8]]))
    assert difference(*maps) == dict(kept=pytest.approx(2 / 3))
    level = np.array([-1, 1, -1, 1], np.float32)
    assert difference(dict(stride4=level + 0.1), dict(stride4=level))['stride4'] == pytest.approx(
        0.1, abs=1e-6
    )


def test_a_device_is_compared_with_the_cpu(call_tool, tmp_path, monkeypatch):
    arguments = ('Container', '--format', 'openvino', *SMALL, '--check', 'CPU')
    code, words, _ = call_tool('export', *arguments, '--out', tmp_path / 'net.xml')
    assert (code, 'CPU beside the CPU: stride4 0.0' in words) == (0, True), words
    for error in (0.06, float('nan')):
        monkeypatch.setattr(quantization, 'differences', lambda *_, e=error: dict(stride4=e))
        with pytest.raises(SystemExit, match='gives something else on CPU than on the CPU'):
            quantization.check(
                tmp_path / 'net.xml', settings(check='CPU', int8=None, size=(64, 96))
            )


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--int8', '.', '--format', 'torchscript'], '--int8 is for --format openvino or onnx'),
        (['--int8', '.', '--half'], '--int8 and --half exclude each other'),
        (['--int8', '.', '--test'], '--test is for --int8 with a config'),
        (['--int8', 'none'], '--int8 needs a folder of pictures, and none is none'),
        (['--int8', 'empty'], '--int8: empty holds no pictures'),
        (['--int8', '.', '--pictures', '0'], '--pictures takes numbers from 1 up'),
        (['--check', 'NPU'], '--check is for --format openvino, not onnx'),
        (['--check', 'TPU', '--format', 'openvino'], 'OpenVINO has no device TPU here; it has'),
    ],
)
def test_the_tool_says_what_is_wrong(call_tool, tmp_path, monkeypatch, arguments, words):
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path)
    code, _, errors = call_tool('export', 'VOLO', *arguments)
    assert code == 2
    assert words in ' '.join(errors.split())


def test_a_missing_nncf_is_named(call_tool, folder, monkeypatch):
    monkeypatch.setattr(quantization, 'find_spec', lambda name: None)
    code, _, errors = call_tool('export', 'VOLO', '--format', 'openvino', '--int8', folder)
    assert code == 2
    assert "nncf missing: pip install -e '.[int8]'" in ' '.join(errors.split())
