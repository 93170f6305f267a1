"""A training says when its images are not what the published weights of its backbone expect."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('mmdet')

import train
import visualize
from lib.normalization import foreign_normalization
from mmengine.config import Config, ConfigDict

from mmbackbones.models import MaxViT, SwinTransformer
from mmbackbones.weights.published import PUBLISHED

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
HALF = dict(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True)
XL = PUBLISHED['MaxViT']['xlarge']['21K'].url
SWIN = PUBLISHED['SwinTransformer']['tiny']['1K'].url
BASE = PUBLISHED['SwinTransformerV2']['base']
AERIAL, BANDS, LANDSAT = (BASE[label].url for label in ('aerial', 'Sentinel-2', 'Landsat'))


def config(checkpoint, preprocessor, kind='SwinTransformer', **others):
    """A config of a model that begins with a file."""
    backbone = dict(type=f'mmbackbones.{kind}', init_cfg=[dict(checkpoint=checkpoint)])
    model = dict(type='MaskRCNN', data_preprocessor=preprocessor, backbone=backbone)
    return Config(dict(model=model, default_scope='mmdet', **others))


@pytest.mark.parametrize(
    ('checkpoint', 'preprocessor', 'words'),
    [
        (SWIN, IMAGENET, None),
        (SWIN, dict(IMAGENET, mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4]), None),
        (SWIN, HALF, 'SwinTransformer tiny, 1K expect images with mean 123.675, 116.28, 103.53, '),
        (SWIN, dict(IMAGENET, bgr_to_rgb=False), 'deviation 58.395, 57.12, 57.375, BGR; '),
        ('weights/swin_tiny_patch4_window7_224.pth', HALF, 'SwinTransformer tiny, 1K'),
        ('weights/mine.pth', HALF, None),
        ('model.safetensors', HALF, None),
        (XL, HALF, None),
        (
            XL,
            IMAGENET,
            'MaxViT xlarge, 21K expect images with mean 127.5, 127.5, 127.5, deviation ',
        ),
        (XL.replace('model.safetensors', 'pytorch_model.bin'), IMAGENET, 'MaxViT xlarge, 21K'),
        ('hf://timm/maxvit_xlarge_tf_224.in21k', IMAGENET, 'MaxViT xlarge, 21K'),
        ('hf://microsoft/swin-tiny-patch4-window7-224', IMAGENET, None),
        (AERIAL, IMAGENET, 'with mean 0, 0, 0, deviation 255, 255, 255, RGB, and this config has'),
        (AERIAL, dict(mean=[0], std=[255], bgr_to_rgb=True), None),
        (f'{AERIAL}?download=true', dict(mean=[0], std=[255]), 'deviation 255, BGR;'),
        (BANDS, dict(mean=[0], std=[255]), None),
        (BANDS, dict(mean=[0] * 9, std=[255] * 9), None),
        (BANDS, dict(mean=[0] * 9, std=[255] * 8 + [1]), 'RGB, B05, B06, B07, B08, B11, B12, and'),
        (LANDSAT, dict(mean=[4000], std=[16320]), None),
        (SWIN, dict(type='DetDataPreprocessor'), 'that of this config is not to be seen'),
        (SWIN, None, 'that of this config is not to be seen'),
        ('timm://maxvit_xlarge_tf_224.in21k', IMAGENET, 'MaxViT xlarge, 21K'),
        ('hf-hub:timm/maxvit_xlarge_tf_224.in21k', IMAGENET, 'MaxViT xlarge, 21K'),
        ('hf://timm/maxvit_xlarge_tf_224.in21k@main/model.safetensors', IMAGENET, 'MaxViT xlarge'),
        ('hf://timm', IMAGENET, None),
    ],
)
def test_the_normalisation_of_a_known_file_is_compared(checkpoint, preprocessor, words):
    found = foreign_normalization(config(checkpoint, preprocessor))
    if words is None:
        assert found is None
    else:
        assert words in found
        assert 'python -m mmbackbones info' in found


def test_a_preprocessor_beside_the_model_counts():
    assert foreign_normalization(config(SWIN, None, data_preprocessor=IMAGENET)) is None
    found = foreign_normalization(config(SWIN, None, data_preprocessor=HALF))
    assert 'this config has mean 127.5, 127.5, 127.5' in found


def test_a_backbone_is_found_at_any_depth():
    detector = config(XL, HALF, kind='MaxViT').model
    preprocessor = dict(type='MultiBranchDataPreprocessor', data_preprocessor=IMAGENET)
    model = dict(type='SoftTeacher', detector=[detector], data_preprocessor=preprocessor)
    cfg = Config(dict(model=model, default_scope='mmdet'))
    assert 'MaxViT xlarge, 21K' in foreign_normalization(cfg)
    preprocessor['data_preprocessor'] = HALF
    assert foreign_normalization(Config(dict(model=model, default_scope='mmdet'))) is None
    detector.backbone.type = MaxViT  # as lazy configs have it
    model['data_preprocessor'] = IMAGENET
    assert 'MaxViT xlarge' in foreign_normalization(
        SimpleNamespace(model=ConfigDict(model), get={}.get)
    )


def test_a_backbone_of_others_is_not_ours():
    cfg = config(SWIN, HALF)
    cfg.model.backbone.type = 'mmdet.SwinTransformer'
    assert foreign_normalization(cfg) is None
    cfg.model.backbone.type = 'NoSuchThing'
    assert foreign_normalization(cfg) is None


@pytest.mark.parametrize(('step', 'fits'), [(IMAGENET, True), (HALF, False)])
def test_a_normalisation_in_the_pipeline_counts(step, fits):
    step = dict(type='Normalize', mean=step['mean'], std=step['std'])
    dataset = dict(type='RepeatDataset', dataset=dict(pipeline=[dict(type='Resize'), step]))
    cfg = config(SWIN, dict(type='DetDataPreprocessor'), train_dataloader=dict(dataset=dataset))
    assert (foreign_normalization(cfg) is None) == fits


@pytest.mark.parametrize(
    ('others', 'times'), [({}, 1), (dict(load_from='whole.pth'), 0), (dict(load_from=None), 1)]
)
def test_a_training_says_it_once_at_its_start(others, times, monkeypatch):
    said = []
    logger = SimpleNamespace(warning=said.append)
    monkeypatch.setattr(train, 'write_training_file', lambda runner: None)
    train.before(SimpleNamespace(cfg=config(SWIN, HALF, **others), logger=logger))
    assert len(said) == times
    assert all('\n' not in line for line in said)


@pytest.mark.parametrize(('weights', 'white'), [('none', (255 - 103.53) / 57.375), (XL, 1.0)])
def test_a_backbone_without_config_sees_what_its_weights_expect(weights, white, monkeypatch):
    net = SwinTransformer(dict(dims=(16, 32), depths=(1, 1), heads=(1, 2)))
    monkeypatch.setattr(visualize, 'build_backbone', lambda *_: net)
    image = np.full((4, 4, 3), 255, np.uint8)
    args = SimpleNamespace(device='cpu')
    found = visualize.subject('SwinTransformer', weights, image, args)
    assert found.image[0, 2, 0, 0] == pytest.approx(white)
