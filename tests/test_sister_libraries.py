"""MMPreTrain, MMRotate and MMPose with our backbones, in the tools, where they are installed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from families import FAMILIES
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, MODELS, DefaultScope

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import export
from demo.mode import adapt, scope_of
from lib.class_checks import class_findings
from lib.data_checks import quick_findings
from lib.datasets import open_datasets
from lib.normalization import normalization_of
from mmengine.dataset import BaseDataset

from mmbackbones import convert_config, load_checkpoint

ROOT = Path(__file__).parent.parent
ENVIRONMENT = dict(os.environ, PYTHONPATH=f'{ROOT}:{os.environ.get("PYTHONPATH", "")}')
LEARNED = 20  # steps in which a loss must fall


# What needs none of the libraries.


def labelled(classes, labels, loader='train_dataloader'):
    """An opened dataset of a classifier."""
    entries = [dict(gt_label=label) for label in labels]
    dataset = SimpleNamespace(metainfo=dict(classes=classes), data_list=entries)
    return SimpleNamespace(dataset=dataset, classes=list(classes), loader=loader)


@pytest.mark.parametrize(
    ('count', 'labels', 'kind', 'text'),
    [
        (3, [0, 2], None, None),
        (2, [0, 2], 'fault', 'num_classes is 2, but train_dataloader has labels up to 2'),
        (2, [[0, 2], [1]], 'fault', 'set it to 3'),
        (2, [0, 1], 'note', 'num_classes is 2, and train_dataloader has 3 classes'),
        (9, [0, 2], 'note', 'num_classes is 9, and train_dataloader has 3 classes'),
    ],
)
def test_heads_of_classifiers_count_the_labels(count, labels, kind, text):
    model = dict(type='ImageClassifier', head=dict(type='LinearClsHead', num_classes=count))
    cfg = ConfigDict(default_scope='mmpretrain', model=model)
    found = list(class_findings(cfg, [labelled(('a', 'b', 'c'), labels)]))
    assert [each.kind for each in found] == ([kind] if kind else [])
    assert all(text in each.text for each in found)


@pytest.mark.parametrize('scope', ['mmpose', 'mmdet3d', 'mmpretrain'])
def test_heads_that_nobody_looks_at_are_said(scope):
    cfg = ConfigDict(default_scope=scope, model=dict(type='Some', head=dict(type='Other')))
    (found,) = class_findings(cfg, [labelled(('a', 'b'), [0, 1])])
    assert found.kind == 'not looked at'
    assert scope in found.text


@DATASETS.register_module()
class DatasetWithSuffix(BaseDataset):
    """A dataset that has `img_suffix`, as mmrotate's, and no maps."""

    img_suffix = 'png'

    def load_data_list(self):
        return [dict(img_path=self.ann_file, **entry) for entry in self.metainfo['entries']]


@pytest.mark.parametrize(
    ('entry', 'kinds'),
    [(dict(), []), (dict(keypoints=np.zeros((1, 17, 2))), ['not looked at'])],
)
def test_datasets_of_sister_libraries_are_no_segmenters(entry, kinds, tmp_path):
    image = tmp_path / 'a.png'
    image.write_bytes(b'')
    dataset = dict(
        type='DatasetWithSuffix',
        ann_file=str(image),
        metainfo=dict(entries=[entry]),
        pipeline=[dict(type='LoadAnnotations')],
    )
    cfg = ConfigDict(train_dataloader=dict(dataset=dataset))
    found = quick_findings(cfg, open_datasets(cfg, ['train_dataloader']))
    assert [each.kind for each in found] == kinds


def test_mmpretrain_s_word_for_rgb_is_known():
    part = dict(mean=[1], std=[2], to_rgb=True)
    assert normalization_of(ConfigDict(model={}, data_preprocessor=part)).channels == 'RGB'


def test_the_demo_set_says_for_whom_it_is():
    cfg = Config(dict(default_scope='mmpose', model=dict(backbone=dict())))
    with pytest.raises(ValueError, match='pretraining of mmpretrain, and detectors of mmrotate'):
        adapt(cfg)
    loader = dict(dataset=dict(pipeline=[dict(type='mmdet.PackDetInputs')]))
    assert scope_of(Config(dict(default_scope='mmrotate', train_dataloader=loader))) == 'mmrotate'


TOOL_CONFIG = """
default_scope = 'mmpose'
model = dict(type='Some', backbone=dict(type='mmbackbones.DaViT', arch='tiny'))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, _scope_='mmpose')
"""


def test_export_says_what_it_leaves_out(tmp_path, monkeypatch, capsys, call_tool):
    path = tmp_path / 'own.py'
    path.write_text(TOOL_CONFIG)
    args = SimpleNamespace(model=str(path), cfg_options={})
    assert export.usual_part(args) == 'backbone'
    assert 'whole models are written for mmdet and mmseg, and this one is of mmpose' in (
        capsys.readouterr().err
    )
    code, _, err = call_tool('export', path, '--raw')
    assert code == 2
    assert '--raw: whole models are written for mmdet and mmseg' in err


def test_bases_of_other_packages_are_not_refused(tmp_path, call_tool):
    path = tmp_path / 'own.py'
    path.write_text(TOOL_CONFIG)
    code, _, err = call_tool('test', path, 'some.pth', '--work-dir', tmp_path)
    assert code == 2
    assert 'has no test_dataloader, so there is nothing to test on' in err  # and no word of _scope_


# MMPreTrain's SimMIM.


def simmim(backbone, channels):
    """SimMIM around a backbone, with our masking."""
    pytest.importorskip('mmpretrain.models')
    import mmbackbones.adapters.mmpretrain  # noqa: F401

    model = dict(
        type='StemMaskedSimMIM',
        data_preprocessor=dict(type='SelfSupDataPreprocessor', mean=[0], std=[1]),
        backbone=backbone,
        neck=dict(type='SimMIMLinearDecoder', in_channels=channels, encoder_stride=32),
        head=dict(
            type='SimMIMHead',
            patch_size=4,
            loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3),
        ),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(model)


def masked(side=128):
    """Two images, and samples that hide a half of each in patches of 32 x 32 pixels."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(2, side // 32, side // 32, generator=generator) < 0.5
    masks = patches.repeat_interleave(8, 1).repeat_interleave(8, 2).long()
    samples = [SimpleNamespace(mask=mask) for mask in masks]
    pixels = masks.bool().repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None]
    return torch.rand(2, 3, side, side, generator=generator), samples, pixels


@pytest.mark.parametrize('name', FAMILIES)
def test_every_backbone_is_pretrained_by_simmim(name, tmp_path):
    settings = dict(FAMILIES[name].tiny, type=f'mmbackbones.{name}')
    channels = MODELS.build(settings).out_channels[-1]
    model = simmim(dict(settings, out_indices=(3,)), channels)
    images, samples, pixels = masked()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(LEARNED):
        loss = model(images, samples, mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert model.mask_token.grad.abs().sum() > 0
    assert all(p.grad is not None for p in model.backbone.parameters())
    # What is hidden has no part in what is predicted.
    seen = []
    model.eval().head.loss = lambda found, *_: seen.append(found)
    for changed in (images, torch.where(pixels, torch.rand_like(images), images)):
        with torch.no_grad():
            model.loss(changed, samples)
    torch.testing.assert_close(*seen, rtol=0, atol=0)
    # A detector reads each tensor of it.
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'epoch_1.pth'))
    detector = MODELS.build(dict(settings, init_cfg=init))
    detector.init_weights()
    found = detector.state_dict()
    for key, value in model.backbone.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)


def test_a_masked_swin_gives_mmpretrain_s_loss(tmp_path):
    pytest.importorskip('mmpretrain.models')
    arch = dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 2, 2, 4])
    settings = dict(type='SimMIMSwinTransformer', img_size=128, arch=arch, drop_path_rate=0)
    blocks = dict(block_cfgs=dict(window_size=4))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        theirs = MODELS.build(dict(settings, stage_cfgs=blocks, pad_small_map=True))
    theirs.eval()  # which returns nothing
    theirs.init_weights()
    torch.nn.init.normal_(theirs.mask_token)
    own = dict(dims=[8, 16, 32, 64], depths=[2, 2, 2, 2], heads=[1, 2, 2, 4])
    swin = dict(type='mmbackbones.SwinTransformer', arch=own, window_size=4, out_indices=(3,))
    model = simmim(swin, 64).eval()
    tensors = {key: value for key, value in theirs.state_dict().items() if key != 'mask_token'}
    torch.save(tensors, tmp_path / 'theirs.pth')
    load_checkpoint(model.backbone, tmp_path / 'theirs.pth')
    model.mask_token.data = theirs.mask_token.data.flatten()
    images, samples, _ = masked()
    mask = torch.stack([sample.mask for sample in samples])
    with torch.no_grad():
        expected = model.head.loss(model.neck(theirs(images, mask)[0]), images, mask)
        torch.testing.assert_close(model.loss(images, samples)['loss'], expected)


# Trainings by the tools.

TINY = 'arch=dict(_delete_=True, dims=[16, 32, 64, 128], depths=(1, 1, 1, 1), heads=(1, 1, 2, 4))'
STEPS = """
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
log_processor = dict(window_size=1)
param_scheduler = [dict(type='LinearLR', start_factor=1.0, by_epoch=False)]
"""
NEAR = 'dict(num_workers=0, persistent_workers=False'
DEMO = "demo = dict(root='demo', train=12, val=4, size=64, batch_size=4, epochs=3, lr=1e-3)\n"
CONFIGS = {
    'classifier_swin_t': f'{DEMO}model = dict(backbone=dict({TINY}), head=dict(in_channels=128))',
    'simmim_swin_t': f'{DEMO}model = dict(backbone=dict({TINY}), neck=dict(in_channels=128))',
    'oriented_rcnn_swin_t': f"""
{DEMO}
model = dict(
    backbone=dict({TINY}),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=64),
    ),
    test_cfg=dict(rcnn=dict(score_thr=0.0, max_per_img=20)),
)
""",
    'topdown_heatmap_swin_t': f"""
{STEPS}
model = dict(
    backbone=dict({TINY}, init_cfg=None),
    head=dict(in_channels=128, deconv_out_channels=(16, 16, 16)),
)
train_dataloader = {NEAR}, batch_size=4)
val_dataloader = {NEAR}, batch_size=4)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=4, val_interval=4)
""",
}
LIBRARIES = {
    'classifier': ('mmpretrain', 'accuracy/top1'),
    'simmim': ('mmpretrain', None),
    'oriented_rcnn': ('mmrotate', 'dota/mAP'),
    'topdown_heatmap': ('mmpose', 'coco/AP'),
}


def draw_people(folder):
    """A set of COCO keypoints: people of seventeen dots."""
    random = np.random.default_rng(0)
    for split, count in (('train2017', 8), ('val2017', 4)):
        images, notes = [], []
        (folder / split).mkdir(parents=True)
        (folder / 'annotations').mkdir(exist_ok=True)
        for number in range(1, count + 1):
            image = random.integers(0, 90, (120, 100, 3), dtype=np.uint8)
            points = np.linspace((50, 10), (50, 110), 17) + random.integers(-9, 10, (17, 2))
            for place, point in enumerate(points.astype(int).tolist()):
                cv2.circle(image, point, 3, (15 * place, 255 - 15 * place, 200), -1)
            name = f'{number:012}.jpg'
            cv2.imwrite(str(folder / split / name), image)
            images.append(dict(id=number, file_name=name, width=100, height=120))
            flat = np.column_stack([points.astype(int), np.full(17, 2)]).ravel().tolist()
            note = dict(id=number, image_id=number, category_id=1, iscrowd=0, area=4000)
            notes.append(dict(note, num_keypoints=17, keypoints=flat, bbox=[30, 2, 40, 116]))
        person = dict(id=1, name='person', supercategory='person', skeleton=[])
        content = dict(images=images, annotations=notes, categories=[person])
        path = folder / 'annotations' / f'person_keypoints_{split}.json'
        path.write_text(json.dumps(content))


def run(folder, tool, *arguments):
    """The output of a tool, which must succeed."""
    command = [sys.executable, str(ROOT / f'tools/{tool}.py'), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(work_dir):
    """What a run logged, one dict for each line."""
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_the_tools_train_test_and_draw(name, tmp_path):
    library, metric = next(v for key, v in LIBRARIES.items() if name.startswith(key))
    pytest.importorskip(f'{library}.models')
    text = f"_base_ = '{ROOT}/configs/{name}.py'\nwork_dir = 'work'\n{CONFIGS[name]}\n"
    (tmp_path / 'own.py').write_text(text)
    demo = ['--demo'] if 'demo = ' in text else []
    if not demo:
        draw_people(tmp_path / 'data/coco')
    log = ['log_processor.window_size=1', 'default_hooks.logger.interval=1']
    run(tmp_path, 'train', 'own.py', *demo, '--work-dir', 'work', '--cfg-options', *log)
    found = rows(tmp_path / 'work')
    losses = [row['loss'] for row in found if 'loss' in row]
    third = len(losses) // 3
    assert np.mean(losses[-third:]) < np.mean(losses[:third])
    checkpoint = max((tmp_path / 'work').glob('epoch_*.pth'))
    images = tmp_path / ('demo/coco/val2017' if demo else 'data/coco/val2017')
    if metric:
        run(tmp_path, 'test', 'own.py', checkpoint, *demo, '--work-dir', 'tested')
        scores = [row[metric] for row in found if metric in row]
        (log,) = (tmp_path / 'tested').glob('*/*.json')
        assert json.loads(log.read_text())[metric] == scores[-1]
        options = ['--weights', checkpoint, '--out-dir', 'drawn', '--pred-out', 'found.json']
        run(tmp_path, 'image_demo', images, 'own.py', *demo, *options)
        assert len(list((tmp_path / 'drawn').glob('*'))) == 4
        predictions = json.loads((tmp_path / 'found.json').read_text())
        assert all(each['predictions'] for each in predictions)
    run(tmp_path, 'browse_dataset', 'own.py', *demo, '--out-dir', 'browsed', '--number', 2)
    assert sum(path.is_file() for path in (tmp_path / 'browsed').rglob('*')) == 2
    assert 'whole' in run(tmp_path, 'get_flops', 'own.py', '--shape', 64)
    run(tmp_path, 'print_config', 'own.py', *demo)


@pytest.mark.parametrize(
    ('library', 'name'),
    [
        ('mmpretrain', 'swin_transformer/swin-tiny_16xb64_in1k.py'),
        ('mmpretrain', 'swin_transformer_v2/swinv2-tiny-w8_16xb64_in1k-256px.py'),
        ('mmrotate', 'oriented_rcnn/oriented-rcnn-le90_swin-tiny_fpn_1x_dota.py'),
        (
            'mmpose',
            'body_2d_keypoint/topdown_heatmap/coco/td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192.py',
        ),
    ],
)
@pytest.mark.filterwarnings('ignore')
def test_their_own_configs_for_swin_are_converted(library, name, linspace_on_cpu):
    package = pytest.importorskip(f'{library}.models')
    folder = Path(package.__file__).parents[1] / '.mim/configs'
    theirs = Config.fromfile(folder / name)
    ours = convert_config(theirs)
    models = []
    for cfg in (theirs, ours):
        with DefaultScope.overwrite_default_scope(library), torch.device('meta'):
            settings = dict(cfg.model.backbone, init_cfg=None)
            models.append(MODELS.build(settings))
    count, other = ([p.numel() for p in model.parameters()] for model in models)
    assert ours.model.backbone.type.startswith('mmbackbones.SwinTransformer')
    assert sum(count) == sum(other)
