"""Whole models of mmdet and mmseg with their own Swin predict the same with ours, by every door."""

import copy
import shutil
import time

import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from mmdet.apis import DetInferencer, init_detector
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, load_checkpoint, load_state_dict
from mmseg.apis import MMSegInferencer, init_model

import mmbackbones
from mmbackbones import CheckpointError, convert_config
from mmbackbones.backbone import Backbone
from mmbackbones.hooks import WholeCheckpointHook

SWIN = dict(type='SwinTransformer', embed_dims=64, depths=(1, 2, 1, 1), num_heads=(1, 2, 4, 8))
FINDS = dict(score_thr=0.0, max_per_img=20)
METHODS = {
    'mask_rcnn': 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    'cascade_mask_rcnn': 'mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py',
    'retinanet': 'mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py',
    'dino': 'mmdet::dino/dino-5scale_swin-l_8xb2-12e_coco.py',
    'mask2former_instance': 'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py',
    'mask2former_panoptic': (
        'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py'
    ),
    'rtmdet': 'mmdet::rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py',
    'upernet': 'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
    'mask2former_semantic': 'mmseg::mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512.py',
}


def small(name):
    """A config of theirs, whose backbone is a Swin of 64 channels and more."""
    cfg = Config.fromfile(configs(name))
    old = cfg.model.backbone
    widths = [old.get('embed_dims', 256) * 2**i for i in range(4)]  # 256 of ResNet
    adapt(cfg.model, {width: 64 * 2**i for i, width in enumerate(widths)})
    kept = {key: old[key] for key in ('out_indices', 'frozen_stages') if key in old}
    cfg.model.backbone = dict(SWIN, **kept, drop_path_rate=0.0)
    if 'depth' in old:
        cfg.model.backbone.pop('frozen_stages')
    if 'num_queries' in cfg.model:
        cfg.model.num_queries = 50  # no more than a small picture has tokens
    return cfg


def configs(name):
    """The path of a config in the package that its name begins with."""
    scope, _, file = name.partition('::')
    return f'{pytest.importorskip(scope).__path__[0]}/.mim/configs/{file}'


def adapt(part, widths):
    """Change the channels that parts behind the backbone expect, and keep unsure finds."""
    for key, value in part.items():
        if key in FINDS:
            part[key] = FINDS[key]
        if key == 'in_channels' and isinstance(value, list) and set(value) <= set(widths):
            part[key] = [widths[width] for width in value]
        elif key == 'auxiliary_head':
            value.in_channels = widths[value.in_channels]
        elif isinstance(value, dict) and key != 'backbone':
            adapt(value, widths)


def build(cfg):
    """A model in evaluation, with weights as they come."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return ROOT_MODELS.build(copy.deepcopy(cfg.model)).eval()


def randomised(model):
    """The model as training begins, with noise on everything, norms and biases too."""
    model.init_weights()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            spread = tensor.std() if tensor.numel() > 1 else 0
            noise = (0.1 * spread or 0.05) * torch.randn_like(tensor)
            tensor.add_(noise.abs() if 'running_var' in name else noise)
    return model


@pytest.fixture(scope='module')
def published(request, tmp_path_factory):
    """(predictions of their model, our config, the path of their file) for a method.

    What doors leave beside the file goes with it before the next method: together it is 1.5 GB.
    """
    folder, cfg = tmp_path_factory.mktemp(request.param), small(METHODS[request.param])
    torch.manual_seed(0)
    theirs = randomised(build(cfg))
    meta = dict(dataset_meta=dict(classes=['a'] * 150, palette=[(0, 0, 0)] * 150))
    torch.save(dict(meta=meta, state_dict=theirs.state_dict()), folder / 'theirs.pth')
    yield predictions(theirs, cfg.default_scope), convert_config(cfg), folder / 'theirs.pth'
    shutil.rmtree(folder)


def image():
    """A picture (64, 96, 3), BGR, the same each time."""
    generator = torch.Generator().manual_seed(3)
    return torch.randint(256, (64, 96, 3), generator=generator).byte()


def predictions(model, scope):
    """What it finds in the image: {name: tensor}."""
    structures = pytest.importorskip(f'{scope}.structures')
    sample = dict(mmdet='DetDataSample', mmseg='SegDataSample')[scope]
    info = dict(img_shape=(64, 96), ori_shape=(64, 96), scale_factor=(1.0, 1.0))
    samples = [getattr(structures, sample)(metainfo=info)]
    batch = dict(inputs=[image().permute(2, 0, 1)], data_samples=samples)
    with DefaultScope.overwrite_default_scope(scope), torch.no_grad():
        (found,) = model.test_step(batch)
    return flat(found)


def flat(sample):
    """{name: tensor} of a data sample's predictions."""
    found = {}
    for name, part in sample.items():
        if 'pred' in name or name == 'seg_logits':
            found |= {f'{name}.{key}': torch.as_tensor(value) for key, value in part.items()}
    return found


def check(found, wanted):
    """The same predictions, to 1e-4 of the largest number; of masks, all but 1e-4 of the pixels."""
    assert found.keys() == wanted.keys()
    assert sum(tensor.numel() for tensor in wanted.values()) > 100
    for name, tensor in wanted.items():
        assert found[name].shape == tensor.shape, name
        off = (found[name].double() - tensor.double()).abs()
        off = off.mean() if tensor.dtype == torch.bool else off.max() / tensor.abs().max()
        assert off < 1e-4, name


def by_inferencer(cfg, path):
    kind = dict(mmdet=DetInferencer, mmseg=MMSegInferencer)[cfg.default_scope]
    cfg.dump(path.with_name('ours.py'))
    return kind(str(path.with_name('ours.py')), str(path), device='cpu').model


def by_init_function(cfg, path):
    initialise = dict(mmdet=init_detector, mmseg=init_model)[cfg.default_scope]
    return initialise(copy.deepcopy(cfg), str(path), device='cpu')


def runner_of(cfg, path, **options):
    model, scope = copy.deepcopy(cfg.model), cfg.default_scope
    options.update(work_dir=str(path.parent), load_from=str(path), default_scope=scope)
    runner = Runner(model, experiment_name=str(time.time_ns()), **options)
    runner.call_hook('before_run')
    runner.load_or_resume()
    return runner


def by_runner(cfg, path):
    return runner_of(cfg, path).model


def by_runner_with_ema(cfg, path):
    hook = EMAHook()
    runner_of(cfg, path, custom_hooks=[hook])
    return hook.ema_model.module


def by_checked_runner(cfg, path):
    """As tools/test.py and tools/train.py do it."""
    return runner_of(cfg, path, custom_hooks=[WholeCheckpointHook()]).model


def by_checked_runner_with_ema(cfg, path):
    hook = EMAHook()
    runner_of(cfg, path, custom_hooks=[hook, WholeCheckpointHook()])
    return hook.ema_model.module


def by_init_cfg(cfg, path):
    cfg = copy.deepcopy(cfg)
    cfg.model.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model = build(cfg)
    model.init_weights()
    return model


def by_mmengine(cfg, path):
    model = build(cfg)
    load_checkpoint(model, str(path), strict=True)
    return model


def by_mmengine_from_two_processes(cfg, path):
    """A file of a model in DDP, whose names begin with `module.`, into one in DDP."""
    content = torch.load(path)
    content['state_dict'] = {f'module.{n}': t for n, t in content['state_dict'].items()}
    torch.save(content, path.with_name('parallel.pth'))
    url = f'file://{path.parent}/{time.time_ns()}'
    torch.distributed.init_process_group('gloo', init_method=url, rank=0, world_size=1)
    try:
        wrapper = MMDistributedDataParallel(revert_sync_batchnorm(build(cfg)))
        load_checkpoint(wrapper, str(path.with_name('parallel.pth')), strict=True)
        return wrapper.module
    finally:
        torch.distributed.destroy_process_group()


def by_mmengine_for_flips(cfg, path):
    kind = dict(mmdet='DetTTAModel', mmseg='SegTTAModel')[cfg.default_scope]
    wrapper = build(Config(dict(cfg, model=dict(type=kind, module=cfg.model))))
    load_checkpoint(wrapper, str(path), strict=True)
    return wrapper.module


def by_mmengine_for_teacher_and_student(cfg, path):
    """As mmdet's; segmenters, of which mmseg has no such pair, in a module with both."""
    if cfg.default_scope == 'mmseg':
        pair = torch.nn.ModuleDict(dict(teacher=build(cfg), student=build(cfg)))
        tensors = torch.load(path)['state_dict'].items()
        load_state_dict(pair, {f'{part}.{n}': t for part in pair for n, t in tensors}, strict=True)
        return pair['teacher']
    settings = dict(semi_train_cfg={}, semi_test_cfg=dict(predict_on='teacher'))
    model = dict(type='SoftTeacher', detector=cfg.model, **settings)
    model['data_preprocessor'] = dict(type='mmdet.DetDataPreprocessor')
    pair = build(Config(dict(cfg, model=model)))
    load_checkpoint(pair, str(path), strict=True)
    assert_same(pair.teacher.backbone, pair.student.backbone)
    return pair.teacher


def assert_same(one, other):
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def by_load_state_dict(cfg, path):
    model = build(cfg)
    model.load_state_dict(torch.load(path)['state_dict'])
    return model


def by_our_function(cfg, path):
    model = build(cfg)
    report = mmbackbones.load_checkpoint(model, path)
    assert len(report.loaded) == len(model.state_dict())
    return model


DOORS = [function for name, function in sorted(globals().items()) if name.startswith('by_')]


@pytest.mark.parametrize('published', METHODS, indirect=True)
def test_predictions_are_theirs(published):
    wanted, cfg, path = published
    model = by_mmengine(cfg, path)
    assert isinstance(model.backbone, Backbone)
    check(predictions(model, cfg.default_scope), wanted)


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('published', ['mask_rcnn', 'upernet'], indirect=True)
def test_every_door_gives_the_same(published, door):
    wanted, cfg, path = published
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = door(cfg, path).eval()
    check(predictions(model, cfg.default_scope), wanted)


def cut(tensors):
    """Without a layer of the neck or head."""
    return {n: t for n, t in tensors.items() if 'convs.1.conv' not in n}


def other_classes(tensors):
    """As for fewer classes."""
    return {n: t[:7] if 'fc_cls' in n or 'conv_seg' in n else t for n, t in tensors.items()}


def other_model(tensors):
    """With the names of another head."""
    return {n.replace('head.', 'brain.'): t for n, t in tensors.items()}


FAULTS = [
    (cut, r'lacks \d+ tensors \([^)]*convs.1.conv'),
    (
        other_classes,
        r'tensors have other sizes \([^;]*(fc_cls|conv_seg)[^;]*and here \(.*allow_new=\S+_head',
    ),
    (other_model, r'lacks \d+ tensors \(\S+head\..*unknown ones \(\S+brain'),
]


@pytest.mark.parametrize(('fault', 'words'), FAULTS)
@pytest.mark.parametrize('published', ['mask_rcnn', 'upernet'], indirect=True)
def test_a_file_of_another_model_is_one_sentence(published, fault, words):
    _, cfg, path = published
    content, other = torch.load(path), path.with_name('other.pth')
    content['state_dict'] = fault(content['state_dict'])
    torch.save(content, other)
    for door in by_our_function, by_checked_runner:
        with pytest.raises(CheckpointError, match=words) as caught:
            door(cfg, other)
        assert str(other) in str(caught.value)


@pytest.mark.parametrize('published', ['mask_rcnn', 'upernet'], indirect=True)
def test_named_parts_may_start_anew(published):
    _, cfg, path = published
    content, other = torch.load(path), path.with_name('other.pth')
    tensors = content['state_dict'] = other_classes(content['state_dict'])
    torch.save(content, other)
    part = dict(mmdet=['roi_head.bbox_head'], mmseg=['decode_head', 'auxiliary_head'])
    other_part = dict(mmdet='neck', mmseg='auxiliary_head')
    hook = WholeCheckpointHook(part[cfg.default_scope])
    model = runner_of(cfg, other, custom_hooks=[hook]).model
    heads = {n: t for n, t in model.state_dict().items() if not n.startswith('backbone.')}
    fresh = [name for name, tensor in heads.items() if tensor.shape != tensors[name].shape]
    assert {name.split('.')[-2] for name in fresh} <= {'fc_cls', 'conv_seg'}
    assert all(torch.equal(heads[name], tensors[name]) for name in heads.keys() - set(fresh))
    with pytest.raises(CheckpointError, match='have other sizes'):
        runner_of(cfg, other, custom_hooks=[WholeCheckpointHook(other_part[cfg.default_scope])])
    with pytest.raises(CheckpointError, match=r'no part necks .* did you mean \S+'):
        runner_of(cfg, other, custom_hooks=[WholeCheckpointHook('necks')])
