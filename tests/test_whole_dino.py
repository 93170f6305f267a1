"""DINO of detrex and of its authors predicts the same in mmdet with our Swin.

`tests/data/layouts` has what their own code gave for small models: logits and boxes.
"""

import re

import numpy as np
import pytest
import torch

pytest.importorskip('mmcv.ops', reason='mmcv was built without its operators')
pytest.importorskip('mmdet')

from conftest import ROOT
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import import_modules_from_strings
from recording import Recording
from shipped import recent_mmdet

from mmbackbones import CheckpointError, load_checkpoint
from mmbackbones.weights.whole.dino import CATEGORIES, for_finer_positions

TOLERANCE = 1e-4
AS_AUTHORS = {
    'neck.bias': True,
    'positional_encoding.temperature': 20,
    'positional_encoding.offset': 0,
}
AS_DETREX = {
    'neck.bias': True,
    'positional_encoding.temperature': 10000,
    'positional_encoding.offset': -0.5,
}
# What a recording is of: our config, the options that it needs besides, the number of classes.
FILES = {
    'detrex_dino_4scale': ('dino_4scale_swin_t', {}, 5),
    'detrex_dino_5scale': ('dino_5scale_swin_l', AS_DETREX, 5),
    'dino_4scale': ('dino_4scale_swin_t', AS_AUTHORS, 91),
}


def detector(name, options=(), **numbers):
    """A small detector of a config of ours, with options that overwrite it."""
    import_modules_from_strings(['mmdet.models', 'mmbackbones'])
    whole = Config.fromfile(ROOT / f'configs/{name}.py')
    cfg = whole.model
    arch = dict(dims=(8, 16, 32, 64), depths=(2, 1, 1, 1), heads=(1, 1, 2, 2))
    cfg.backbone.update(arch=arch, window_size=4, drop_path_rate=0.0, init_cfg=None)
    cfg.neck.in_channels = [8, 16, 32, 64][-len(cfg.neck.in_channels) :]
    cfg.num_queries = numbers.get('queries', 20)
    cfg.bbox_head.num_classes = numbers.get('classes', 5)
    for part in (cfg.encoder, cfg.decoder):
        part.num_layers = numbers.get('layers', 2)
        part.layer_cfg.ffn_cfg.feedforward_channels = 16
    whole.merge_from_dict({f'model.{option}': value for option, value in dict(options).items()})
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(whole.model).eval()


def predict(model, images):
    """(class logits, boxes) of the last layer for normalised images."""
    shape = tuple(images.shape[2:])
    samples = [DetDataSample(metainfo=dict(img_shape=shape, batch_input_shape=shape))]
    with torch.no_grad():
        found = model.forward_transformer(model.extract_feat(images), samples)
        logits, boxes = model.bbox_head(found['hidden_states'], found['references'])
    return logits[-1], boxes[-1]


def assert_predicts(model, recording):
    for case in recording.cases:
        errors = recording.errors(case, predict(model, recording.image(case)))
        assert max(errors.values()) < TOLERANCE


@pytest.fixture
def saved(tmp_path):
    """A function that writes the file of a recording, with changed tensors, and its path."""

    def write(name, change=dict, ending='pth'):
        path, tensors = tmp_path / f'model.{ending}', change(layout(name))
        if ending == 'safetensors':
            pytest.importorskip('safetensors.torch').save_file(tensors, path)
        else:
            torch.save(dict(model=tensors, iteration=89999), path)
        return path

    return write


def layout(name):
    return Recording(f'layouts/{name}').state_dict()


def arrays(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def heads_of_the_model_alone(tensors):
    shared = re.compile(r'transformer\.decoder\.(class|bbox)_embed\.')
    return {name: tensor for name, tensor in tensors.items() if not shared.match(name)}


def heads_of_the_decoder_alone(tensors):
    """As safetensors' `save_model` may leave them, of which both have the same memory."""
    shared = re.compile(r'(class|bbox)_embed\.')
    kept = heads_of_the_model_alone(tensors)
    return {f'transformer.decoder.{n}' if shared.match(n) else n: t for n, t in kept.items()}


def with_criterion(tensors):
    return tensors | {'criterion.empty_weight': torch.ones(6)}


WAYS = {
    'torch': {},
    'safetensors': dict(ending='safetensors'),
    'arrays': dict(change=arrays),
    'once': dict(change=heads_of_the_model_alone),
    'below the decoder': dict(change=heads_of_the_decoder_alone),
    'with its criterion': dict(change=with_criterion),
}


@pytest.mark.parametrize('name', FILES)
def test_predictions_are_theirs(name, saved):
    config, options, classes = FILES[name]
    model = detector(config, options, classes=classes)
    report = load_checkpoint(model, saved(name))
    assert sorted(report.loaded) == sorted(model.state_dict())
    assert (report.new, report.warnings) == ([], [])
    assert report.format == ('DINO of its authors' if classes == 91 else 'DINO of detrex')
    assert_predicts(model, Recording(f'layouts/{name}'))


@pytest.mark.parametrize('way', WAYS)
def test_it_is_the_same_however_it_was_saved(way, saved):
    model = detector('dino_4scale_swin_t')
    load_checkpoint(model, saved('detrex_dino_4scale', **WAYS[way]))
    assert_predicts(model, Recording('layouts/detrex_dino_4scale'))


def test_classes_by_category_ids_become_those_of_coco(saved):
    path = saved('dino_4scale')
    model = detector('dino_4scale_swin_t', AS_AUTHORS, classes=80)
    other = detector('dino_4scale_swin_t', AS_AUTHORS, classes=91)
    load_checkpoint(model, path)
    load_checkpoint(other, path)
    assert len(CATEGORIES) == 80
    # Of the annotations of COCO: person, traffic light, fire hydrant, stop sign, toothbrush.
    assert [CATEGORIES[label] for label in (0, 9, 10, 11, 79)] == [1, 10, 11, 13, 90]
    ours, whole = model.state_dict(), other.state_dict()
    for name, tensor in ours.items():
        chosen = tensor.shape != whole[name].shape
        assert chosen == bool(re.match(r'bbox_head\.cls_branches|dn_query_generator', name))
        assert torch.equal(tensor, whole[name][CATEGORIES] if chosen else whole[name])


def test_the_authors_classes_are_not_cut_for_others(saved):
    model = detector('dino_4scale_swin_t', AS_AUTHORS, classes=20)
    with pytest.raises(CheckpointError, match=r'\(91, 256\) and here \(20, 256\)'):
        load_checkpoint(model, saved('dino_4scale'))


def test_constants_that_no_file_has_are_compared(saved):
    model = detector('dino_5scale_swin_l', {'neck.bias': True})
    (warning,) = load_checkpoint(model, saved('detrex_dino_5scale')).warnings
    assert warning == (
        'DINO of detrex has positional_encoding.temperature=10000, '
        'positional_encoding.offset=-0.5, and this DINO positional_encoding.temperature=20, '
        'positional_encoding.offset=0.0: its predictions will differ from theirs, set these in '
        'the config'
    )


FAULTS = {
    'no biases': (
        dict(options={'neck.bias': False}),
        r'detrex\) is of another model than this DINO: its neck has biases, which model.neck.bias',
    ),
    'classes': (dict(classes=7), r'tensors have other sizes \(.*\(5, 256\) and here \(7, 256\)'),
    'queries': (dict(queries=30), r'query_embedding.weight, \(20, 256\) and here \(30, 256\)'),
    'layers': (dict(layers=3), r'lacks 46 tensors \(bbox_head.cls_branches.3.*and has 0 unknown'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_file_of_another_dino_is_one_sentence(fault, saved):
    numbers, words = FAULTS[fault]
    model = detector('dino_4scale_swin_t', **numbers)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(model, saved('detrex_dino_4scale'))
    as_before = dict(rtol=0, atol=0, equal_nan=True)  # some are not even numbers before training
    torch.testing.assert_close(dict(model.state_dict()), before, **as_before)


@pytest.mark.parametrize('name', FILES)
def test_another_detector_is_refused_in_one_sentence(name, saved):
    net = torch.nn.Module()
    net.head = torch.nn.Linear(2, 2)
    words = r'model.pth is of another model than this Module: it lacks 2 tensors \(head'
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(net, saved(name))


def test_positions_of_older_files_are_every_second_frequency():
    weight, like = torch.randn(3, 32), torch.zeros(3, 64)  # 4 coordinates of 8 and 16 numbers
    wide = for_finer_positions(weight, like)
    exponents = (-2 * (np.arange(count) // 2) / count for count in (8, 16))
    old, new = (np.tile(np.exp(each), 4) for each in exponents)
    kept = [i for i in range(64) if wide[:, i].any()]
    assert torch.equal(wide[:, kept], weight)
    assert np.allclose(new[kept], old)
    assert for_finer_positions(weight, weight) is weight


@pytest.mark.skipif(not recent_mmdet(), reason='this mmdet encodes boxes as its published files do')
def test_files_of_mmdet_before_its_finer_positions(tmp_path):
    older, model = detector('dino_5scale_swin_l'), detector('dino_5scale_swin_l')
    state = older.state_dict()
    name = 'decoder.ref_point_head.layers.0.weight'
    half = state[name].view(256, 4, 64, 2, 2)[:, :, :, 0].reshape(256, 512)
    torch.save(dict(state_dict=state | {name: half}), tmp_path / 'older.pth')
    load_checkpoint(model, tmp_path / 'older.pth')
    older.load_state_dict(state | {name: for_finer_positions(half, state[name])})
    image = torch.randn(1, 3, 96, 96)
    for found, wanted in zip(predict(model, image), predict(older, image), strict=True):
        assert torch.equal(found, wanted)
