"""tools/export.py: what it writes and refuses."""

from pathlib import Path

import export
import onnxruntime
import pytest
import torch
from exporting import ALL_SIZES, equal, fixed
from families import FAMILIES
from lib.engines import (
    FORMATS,
    read_onnx,
)
from versions import needs_exporter

pytestmark = [pytest.mark.usefixtures('without_logs'), needs_exporter]
ROOT = Path(__file__).parent.parent


def test_the_tool_exports_the_backbone_of_a_config(export_tool, tmp_path):
    """With the weights of a whole detector, into a file that names and frees its sizes."""
    settings = FAMILIES['DaViT'].first
    net = fixed('DaViT', **settings)
    torch.save({f'backbone.{k}': v for k, v in net.state_dict().items()}, tmp_path / 'all.pth')
    config, out = tmp_path / 'tiny.py', tmp_path / 'tiny.onnx'
    config.write_text(f"model = dict(backbone=dict(type='mmbackbones.DaViT', **{settings}))")
    code, words = export_tool(config, '--weights', tmp_path / 'all.pth', '--out', out)
    assert (code, words.count('e-0')) == (0, 4)
    assert 'RANDOM' not in words
    session = onnxruntime.InferenceSession(out)
    assert session.get_inputs()[0].shape == ['batch', 3, 'height', 'width']
    assert [output.name for output in session.get_outputs()] == ['stride4']
    equal(net, read_onnx(str(out)), ALL_SIZES)


def test_the_tool_exports_a_published_size(export_tool, tmp_path):
    out = tmp_path / 'light.ts'
    small = ('--format', 'torchscript', '--cfg-options', 'out_indices=0')
    code, words = export_tool('Container', *small, '--out', out)
    assert code == 0
    assert 'RANDOM WEIGHTS' in words
    assert torch.jit.load(out)(torch.rand(1, 3, 70, 50))[0].shape == (1, 64, 18, 13)


@pytest.mark.parametrize('form', ['onnx', 'openvino', 'torch-export'])
def test_half_precision_is_half_the_file(export_tool, tmp_path, form):
    sizes, heavy = [], {'openvino': '.bin'}.get(form, FORMATS[form][0])
    for half in ([], ['--half']):
        out = tmp_path / f'net{len(half)}{FORMATS[form][0]}'
        small = ('--format', form, '--size', 64, 96, '--cfg-options', 'out_indices=0')
        code, words = export_tool('Container', *half, *small, '--out', out)
        assert (code, words.count('64 │    96')) == (0, 1), words
        sizes.append(out.with_suffix(heavy).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


LEVELS = {  # what comes out of the head of a whole model, five levels each
    'retinanet': ('cls_scores', 'bbox_preds'),
    'mask_rcnn': ('features', 'cls_scores', 'bbox_preds'),
}


@pytest.mark.parametrize('size', [(64, 96), pytest.param((), marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    'method', [pytest.param('retinanet', marks=pytest.mark.slow), 'mask_rcnn', 'upernet']
)
def test_the_tool_exports_whole_models(export_tool, tmp_path, method, size):
    dims, file, out = [16] * 4, tmp_path / 'small.py', tmp_path / 'whole.onnx'
    backbone = dict(arch=dict(_delete_=True, dims=dims, depths=[1] * 4, heads=[1] * 4))
    reader = 'decode_head' if method == 'upernet' else 'neck'
    model = {'backbone': backbone, reader: dict(in_channels=dims[method == 'retinanet' :])}
    file.write_text(f"_base_ = '{ROOT}/configs/{method}_swin_t.py'\nmodel = {model}")
    code, words = export_tool(file, '--raw', '--out', out, *(('--size', *size) if size else ()))
    assert (code, words.count('e-0')) == (0, 1 if size else 4), words
    names = [f'{kind}{i}' for kind in LEVELS.get(method, ()) for i in range(5)] or ['logits']
    assert [output.name for output in onnxruntime.InferenceSession(out).get_outputs()] == names


def test_a_file_that_differs_is_refused(export_tool, tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'TOLERANCE', {torch.float32: -1.0})
    small = ('--format', 'torchscript', '--cfg-options', 'out_indices=0')
    code, _ = export_tool('Container', *small, '--out', tmp_path / 'light.ts')
    assert 'light.ts differs from PyTorch by more than -1.0' in code


def test_a_missing_package_is_named(export_tool, monkeypatch):
    monkeypatch.setattr(export, 'find_spec', lambda name: name != 'onnxscript' or None)
    code, words = export_tool('DaViT')
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
def test_the_tool_says_what_is_wrong(export_tool, arguments, words):
    code, found = export_tool(*arguments)
    assert code == 2
    assert words in found
