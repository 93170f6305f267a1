"""Whole models of MaskFormer and Mask2Former as others publish them, in mmdet's and mmseg's.

`tests/data/layouts/*_whole_*.npz` has the names and shapes of small ones, and what these gave.
"""

import copy
import pickle
import re
import time

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from recording import Recording, layout, save

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from mmdet.datasets import CityscapesDataset as CityInstances
from mmdet.datasets.ade20k import ADE20KInstanceDataset
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from mmseg.datasets import ADE20KDataset, CityscapesDataset, MapillaryDataset_v1
from mmseg.structures import SegDataSample

from mmbackbones import CheckpointError, load_checkpoint
from mmbackbones.hooks import WholeCheckpointHook
from mmbackbones.weights.reading import load_checked_files_only

BOUND = 1e-4  # in standard deviations of the logits
CHANNELS = [8, 16, 32, 64]
ARCH = dict(dims=CHANNELS, depths=(1, 2, 1, 1), heads=(1, 1, 2, 2))
SWIN = dict(type='mmbackbones.SwinTransformer', arch=ARCH, window_size=3)
WIDTHS = ('embed_dims', 'feat_channels', 'out_channels', 'feedforward_channels')
SMALL = dict.fromkeys(WIDTHS, 32) | dict(num_feats=16, num_heads=4, num_queries=5)
MODELS_OF = {
    'mask2former': {
        'instance': 'configs/mask2former_swin_t.py',
        'panoptic': 'configs/mask2former_panoptic_swin_t.py',
        'semantic': 'configs/mask2former_semantic_swin_t.py',
    },
    'maskformer': {
        'panoptic': 'mmdet::maskformer/maskformer_swin-l-p4-w12_64xb1-ms-300e_coco.py',
        'semantic': 'mmseg::maskformer/maskformer_swin-t_upernet_8xb2-160k_ade20k-512x512.py',
    },
}
FILES = {
    'hf_whole_mask2former': 'mask2former',
    'hf_whole_maskformer': 'maskformer',
    'd2_whole_mask2former': 'mask2former',
    'd2_whole_maskformer': 'maskformer',
}
CASES = [(file, task) for file, method in FILES.items() for task in MODELS_OF[method]]


def shrink(part):
    """Make a head as small as the recorded ones."""
    for key, value in part.items():
        if isinstance(value, dict):
            shrink(value)
        elif key == 'num_layers':
            part[key] = 2
        elif key in SMALL:
            part[key] = SMALL[key]


def config_of(method, task, things=7, stuff=0):
    """The config of a small model of mm with our Swin, for some classes."""
    name = MODELS_OF[method][task]
    if '::' in name:
        scope, _, file = name.partition('::')
        name = f'{pytest.importorskip(scope).__path__[0]}/.mim/configs/{file}'
    cfg = Config.fromfile(ROOT / name)
    model = cfg.model
    model.backbone = copy.deepcopy(SWIN)
    head = model['decode_head' if task == 'semantic' else 'panoptic_head']
    shrink(head)
    head.in_channels = CHANNELS
    head.loss_cls.class_weight = [1.0] * (things + stuff + 1)
    if method == 'maskformer':
        head.enforce_decoder_input_project = True
    else:
        head.transformer_decoder.num_layers = 3
    if task == 'semantic':
        head.num_classes = things + stuff
    else:
        for part in (head, model.panoptic_fusion_head):
            part.num_things_classes, part.num_stuff_classes = things, stuff
    return cfg


def model_of(*arguments):
    """A small model of mm with our Swin."""
    return build(config_of(*arguments))


def build(cfg):
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()


def head_of(model):
    return getattr(model, 'panoptic_head', None) or model.decode_head


def logits(model, image):
    """Of classes (B, queries, classes + 1) and of masks (B, queries, H, W)."""
    shape = tuple(image.shape[2:])
    info = dict(img_shape=shape, batch_input_shape=shape)
    samples = [DetDataSample(metainfo=info) for _ in image]
    with torch.no_grad():
        classes, masks = head_of(model)(model.extract_feat(image), samples)
    return classes[-1], masks[-1]


def save_pickle(folder, tensors):
    """As detectron2 publishes them: a plain pickle of NumPy arrays."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    content = dict(model=arrays, __author__='somebody', matching_heuristics=True)
    (folder / 'file.pkl').write_bytes(pickle.dumps(content))
    return folder / 'file.pkl'


def save_safetensors(folder, tensors):
    pytest.importorskip('safetensors.torch').save_file(tensors, folder / 'model.safetensors')
    return folder / 'model.safetensors'


def by_load_checkpoint(model, path):
    load_checkpoint(model, path)


def by_load_from(model, path, new=()):
    """As tools/train.py and tools/test.py do it."""
    load_checked_files_only()
    options = dict(work_dir=str(path.parent), experiment_name=str(time.time_ns()))
    hooks = [WholeCheckpointHook(new)]
    Runner(model, load_from=str(path), custom_hooks=hooks, **options).load_or_resume()


def assert_same(model, other, but=()):
    ours, theirs = model.state_dict(), other.state_dict()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert [name for name in different if not name.startswith(but)] == []


@pytest.mark.parametrize(('file', 'task'), CASES)
def test_predictions_are_theirs(file, task, tmp_path):
    recording, model = Recording(f'layouts/{file}'), model_of(FILES[file], task)
    report = load_checkpoint(model, save(tmp_path, recording.state_dict()))
    assert (report.loaded, report.new) == (list(model.state_dict()), [])
    assert report.format.split()[0].lower() == FILES[file]
    for case in recording.cases:
        errors = recording.errors(case, logits(model, recording.image(case)))
        assert max(errors.values()) < BOUND


# How names that transformers saves are in its models.
IN_MEMORY = (
    (r'(pixel_level_module\.encoder\.)(embeddings|encoder)', r'\1swin.\2'),
    (r'attention\.self\.(q|k|v)(uery|ey|alue)', r'attention.\1_proj'),
    (r'attention\.self\.', 'attention.relative_position_bias.'),
    (r'attention\.output\.dense', 'attention.o_proj'),
    (r'intermediate\.dense', 'mlp.fc1'),
    (r'output\.dense', 'mlp.fc2'),
)
DECODER_IN_MEMORY = (
    (r'(transformer_module.*)out_proj', r'\1o_proj'),
    (r'(transformer_module.*)(fc[12])', r'\1mlp.\2'),
)
# How names of detectron2 were before.
EARLIER = ((r'sem_seg_head\.pixel_decoder', 'sem_seg_head'), (r'query_feat', 'static_query'))


def renamed(tensors, renames):
    found = {}
    for name, tensor in tensors.items():
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    return found


def prefixed(prefix, tensors, plus=0):
    return {f'{prefix}{name}': tensor + plus for name, tensor in tensors.items()}


WAYS = {
    'hf_whole_mask2former': [
        save_safetensors,
        lambda folder, state: save(folder, renamed(state, IN_MEMORY)),
        lambda folder, state: save(folder, dict(state_dict=prefixed('module.', state))),
        lambda folder, state: save(folder, dict(model=prefixed('', state, 1), model_ema=state)),
    ],
    'hf_whole_maskformer': [
        lambda folder, state: save(folder, renamed(state, DECODER_IN_MEMORY)),
        save_safetensors,
    ],
    'd2_whole_mask2former': [
        save_pickle,
        lambda folder, state: save_pickle(folder, renamed(state, EARLIER)),
        lambda folder, state: save(folder, dict(model=state, iteration=3)),
        lambda folder, state: save(folder, state | {'pixel_mean': torch.ones(3, 1, 1)}),
    ],
    'd2_whole_maskformer': [lambda folder, state: save_pickle(folder, renamed(state, EARLIER))],
}


@pytest.mark.parametrize('file', FILES)
def test_files_load_as_they_are_published(file, tmp_path):
    wanted = model_of(FILES[file], 'panoptic')
    load_checkpoint(wanted, save(tmp_path, layout(file)))
    model = copy.deepcopy(wanted)
    for number, way in enumerate(WAYS[file]):
        for tensor in model.state_dict().values():
            tensor.zero_()
        door = (by_load_from, by_load_checkpoint)[number % 2]
        door(model, way(tmp_path, layout(file)))
        assert_same(model, wanted)


def test_one_of_two_sets_can_be_chosen(tmp_path):
    state = layout('hf_whole_mask2former')
    path = save(tmp_path, dict(model=prefixed('', state, 1), model_ema=state))
    model = model_of('mask2former', 'instance')
    wanted = copy.deepcopy(model)
    report = load_checkpoint(model, path)
    assert (report.place, report.others) == ('model_ema.', ['model.'])
    load_checkpoint(wanted, save(tmp_path, state, 'one.pth'))
    assert_same(model, wanted)
    load_checkpoint(model, path, prefix='model')
    assert torch.equal(model.backbone.norm3.bias, wanted.backbone.norm3.bias + 1)
    assert torch.equal(head_of(model).query_feat.weight, head_of(wanted).query_feat.weight + 1)


PROJECTIONS = {
    'hf_whole_mask2former': 'model.transformer_module.input_projections',
    'd2_whole_mask2former': 'sem_seg_head.predictor.input_proj',
}


@pytest.mark.parametrize('file', PROJECTIONS)
def test_projections_before_the_decoder_are_loaded(file, tmp_path):
    cfg = config_of('mask2former', 'instance')
    cfg.model.panoptic_head.enforce_decoder_input_project = True
    model = build(cfg)
    extra = {
        f'{PROJECTIONS[file]}.{level}.{name}': torch.full_like(parameter, level + 1)
        for level in range(3)
        for name, parameter in head_of(model).decoder_input_projs[level].named_parameters()
    }
    load_checkpoint(model, save(tmp_path, layout(file) | extra))
    for level, layer in enumerate(head_of(model).decoder_input_projs):
        assert all((parameter == level + 1).all() for parameter in layer.parameters())


def test_other_classes_are_refused_or_start_anew(tmp_path):
    path = save(tmp_path, layout('hf_whole_mask2former'))
    model = model_of('mask2former', 'instance', 9)
    before = copy.deepcopy(model)
    words = (
        r'2 tensors have other sizes .*panoptic_head\.cls_embed\.weight, \(8, 32\) and here '
        r'\(10, 32\).*allow_new=panoptic_head$'
    )
    for door in (by_load_checkpoint, by_load_from):
        with pytest.raises(CheckpointError, match=words):
            door(model, path)
        assert_same(model, before)
    by_load_from(model, path, 'panoptic_head.cls_embed')
    wanted = model_of('mask2former', 'instance')
    load_checkpoint(wanted, path)
    for name, tensor in model.state_dict().items():
        source = before if 'cls_embed' in name else wanted
        assert torch.equal(tensor, source.state_dict()[name])


def test_files_of_other_models_are_refused_in_a_sentence(tmp_path):
    state = layout('d2_whole_mask2former')
    path = save(tmp_path, state)
    with pytest.raises(CheckpointError, match=r'1 tensors have other sizes \(.*mask_feature\.wei'):
        load_checkpoint(model_of('maskformer', 'panoptic'), path)
    with pytest.raises(CheckpointError, match='than this Linear: it has no head that predicts mas'):
        load_checkpoint(torch.nn.Linear(2, 2), path)
    state.pop('sem_seg_head.predictor.decoder_norm.bias')
    words = r'lacks 1 tensors \(panoptic_head\.transformer_decoder\.post_norm\.bias\) and has 0 un'
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(model_of('mask2former', 'panoptic'), save(tmp_path, state))


def names(dataset):
    return [name.strip() for name in dataset.METAINFO['classes']]


CITIES = names(CityscapesDataset)
# Of numbers of things and stuff: the publisher's classes, and those of mm's things.
PANOPTIC = {
    (100, 50): (names(ADE20KDataset), names(ADE20KInstanceDataset)),
    (8, 11): (CITIES, names(CityInstances)),
    (37, 28): (names(MapillaryDataset_v1)[:65], ['Bird', 'Ground Animal', 'Crosswalk - Plain']),
    (80, 53): (list(range(133)), list(range(80))),
}


def with_classes(count):
    """A file whose classifier has rows of their numbers."""
    rows, state = torch.arange(count + 1.0), layout('hf_whole_mask2former')
    weight = rows[:, None].repeat(1, 32)
    return state | {'class_predictor.bias': rows, 'class_predictor.weight': weight}


@pytest.mark.parametrize('counts', PANOPTIC)
def test_things_come_first_in_mmdet(counts, tmp_path):
    theirs, things = PANOPTIC[counts]
    model = model_of('mask2former', 'panoptic', *counts)
    load_checkpoint(model, save(tmp_path, with_classes(len(theirs))))
    layer = head_of(model).cls_embed
    assert torch.equal(layer.weight[:, 0], layer.bias)
    *order, last = layer.bias.int().tolist()
    assert last == len(theirs)
    assert [theirs[row] for row in order][: len(things)] == things
    for part in (order[: counts[0]], order[counts[0] :]):
        assert part == sorted(part)
    assert sorted(order) == list(range(len(theirs)))


def test_classes_of_a_segmenter_keep_their_order(tmp_path):
    model = model_of('mask2former', 'semantic', 100, 50)
    load_checkpoint(model, save(tmp_path, with_classes(150)))
    assert head_of(model).cls_embed.bias.int().tolist() == list(range(151))


def test_pictures_are_drawn_with_files_of_others(call_tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('a.png', np.zeros((64, 96, 3), np.uint8))
    config_of('mask2former', 'semantic').dump('config.py')
    for path in (
        save_safetensors(tmp_path, layout('hf_whole_mask2former')),
        save_pickle(tmp_path, layout('d2_whole_mask2former')),
    ):
        scale = 'test_dataloader.dataset.pipeline.1.scale=(96,64)'
        words = ('a.png', 'config.py', '--weights', path, '--cfg-options', scale)
        code, said, errors = call_tool('image_demo', *words)
        assert (code, said.splitlines()[-1]) == (0, 'outputs/a.png'), errors


@pytest.mark.slow
@pytest.mark.parametrize('method', MODELS_OF)
def test_models_of_hugging_face_in_memory(method, tmp_path):
    """Where their tensors have other names than in files."""
    pytest.importorskip('transformers')
    import record_whole

    _, theirs = record_whole.filled(getattr(record_whole, method)())
    ours, image = model_of(method, 'semantic'), torch.randn(1, 3, 50, 70)
    load_checkpoint(ours, save(tmp_path, theirs.state_dict()))
    for one, other in zip(logits(ours, image), record_whole.outputs_of(theirs, image), strict=True):
        assert (one - other).abs().max() < BOUND * other.std()


@pytest.mark.slow
def test_maps_of_classes_are_those_of_hugging_face(tmp_path):
    """At 384 pixels, to which it resizes Mask2Former's masks; MaskFormer's it resizes later."""
    transformers = pytest.importorskip('transformers')
    import record_whole

    _, model = record_whole.filled(record_whole.mask2former())
    segmenter = model_of('mask2former', 'semantic')
    torch.manual_seed(3)
    image = torch.randn(1, 3, 384, 384)
    with torch.no_grad():  # several queries find several classes
        model.class_predictor.weight *= 60
        model.model.transformer_module.queries_features.weight *= 5
        model.model.transformer_module.queries_embedder.weight *= 5
        load_checkpoint(segmenter, save(tmp_path, model.state_dict()))
        output = model(pixel_values=image)
        info = dict(img_shape=(384, 384), ori_shape=(384, 384), padding_size=(0, 0, 0, 0))
        (ours,) = segmenter.predict(image, [SegDataSample(metainfo=info)])
    processor = transformers.Mask2FormerImageProcessor()
    (theirs,) = processor.post_process_semantic_segmentation(output, [(384, 384)])
    assert len(theirs.unique()) > 2
    assert (ours.pred_sem_seg.data[0] == theirs).float().mean() > 0.999
