"""Whole models of MaskFormer and Mask2Former as others publish them, in mmdet's and mmseg's.

`tests/data/layouts/*_whole_*.npz` has the names and shapes of small ones, and what these gave.
"""

import copy
import pickle

import pytest
import torch
from recording import Recording

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmbackbones import CheckpointError, load_checkpoint

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


def model_of(method, task, things=7, stuff=0):
    """A small model of mm with our Swin, for some classes."""
    name = MODELS_OF[method][task]
    if '::' in name:
        scope, _, file = name.partition('::')
        name = f'{pytest.importorskip(scope).__path__[0]}/.mim/configs/{file}'
    cfg = Config.fromfile(name)
    model = copy.deepcopy(cfg.model)
    model.backbone = SWIN
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
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(model).eval()


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


def save(folder, content, name='file.pth'):
    torch.save(content, folder / name)
    return folder / name


def check(model, recording):
    for case in recording.cases:
        errors = recording.errors(case, logits(model, recording.image(case)))
        assert max(errors.values()) < BOUND


@pytest.mark.parametrize(('file', 'task'), CASES)
def test_predictions_are_theirs(file, task, tmp_path):
    recording, model = Recording(f'layouts/{file}'), model_of(FILES[file], task)
    report = load_checkpoint(model, save(tmp_path, recording.state_dict()))
    assert report.loaded == list(model.state_dict())
    assert report.new == []
    check(model, recording)
