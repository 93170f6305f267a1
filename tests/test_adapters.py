"""Other libraries train with every family; without a library, a sentence says which is missing."""

import re
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from families import FAMILIES, every_class

import mmbackbones
from mmbackbones.adapters.stages import stage_outputs
from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / 'mmbackbones/adapters/README.md').read_text()
LIBRARIES = {
    'timm': 'pip install "timm>=1.0"',
    'torchvision': 'pip install torchvision, of the release and for the device',
    'transformers': 'pip install "transformers>=5.2"',
}
SMALLEST = {'VOLO': 'd1', 'Container': 'light'}


def library(name):
    """A library that works here; torchvision beside another build of PyTorch does not."""
    return pytest.importorskip(name, exc_type=(ImportError, RuntimeError))


def adapter(name):
    """The adapter to a library, which is skipped where that is missing."""
    library(name)
    return pytest.importorskip(f'mmbackbones.adapters.{name}', exc_type=ImportError)


def named(name):
    """The name in timm of the smallest published size of a class."""
    return f'mmbackbones_{FAMILIES[name].file}_{SMALLEST.get(name, "tiny")}'


@pytest.mark.parametrize('name', LIBRARIES)
def test_a_missing_library_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f'mmbackbones.adapters.{name}', raising=False)
    wanted = (
        f'mmbackbones.adapters.{name} needs {name}, which cannot be imported .*{LIBRARIES[name]}'
    )
    with pytest.raises(ImportError, match=wanted):
        __import__(f'mmbackbones.adapters.{name}')


def test_a_library_of_another_build_is_named(monkeypatch, tmp_path):
    """As torchvision for CUDA beside PyTorch for a CPU, which raises no ImportError."""
    text = "raise RuntimeError('operator torchvision::nms does not exist')"
    (tmp_path / 'torchvision.py').write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ('torchvision', 'torchvision.ops', 'mmbackbones.adapters.torchvision'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=r'\(operator torchvision::nms does not exist\): pip'):
        __import__('mmbackbones.adapters.torchvision')


@every_class
def test_what_stages_return_is_known_before_a_net_is_built(name):
    arguments = FAMILIES[name].tiny
    net = MODELS.get(name)(**arguments)
    wanted = list(zip(net.out_channels, net.out_strides, strict=True))
    assert stage_outputs(MODELS.get(name), arguments | dict(out_indices=(1,))) == wanted


@pytest.mark.slow
@every_class
def test_timm_has_every_size_with_its_maps(name):
    timm, _ = library('timm'), adapter('timm')
    family = FAMILIES[name].file
    sizes = {f'mmbackbones_{family}_{arch}' for arch in MODELS.get(name).archs}
    # A family's name may begin another's: swin, swin_v2.
    assert sizes <= set(timm.list_models(f'mmbackbones_{family}_*'))
    net = timm.create_model(
        named(name), features_only=True, in_chans=4, out_indices=(1, 3), drop_path_rate=0.3
    ).eval()
    info = net.feature_info
    assert info.reduction() == [8, 32]
    with torch.no_grad():
        shapes = [tuple(each.shape) for each in net(torch.rand(1, 4, 65, 97))]
    assert shapes == [(1, info.channels()[0], 9, 13), (1, info.channels()[1], 3, 4)]
    for module in info.module_name():
        assert net.get_submodule(module)
    rates = [module.rate for module in net.modules() if hasattr(module, 'rate')]
    assert max(rates) == pytest.approx(0.3)
    net.set_grad_checkpointing()
    assert all(stage.with_cp for stage in net.net.stages)


@pytest.mark.slow
def test_timm_loads_files_and_knows_their_images(tmp_path):
    timm, adapter_of_timm = library('timm'), adapter('timm')
    torch.save(mmbackbones.SwinTransformer('tiny').state_dict(), tmp_path / 'file.pth')
    options = dict(pretrained=True, pretrained_cfg_overlay=dict(file=str(tmp_path / 'file.pth')))
    net = timm.create_model('mmbackbones_swin_tiny', features_only=True, **options)
    mmbackbones.load_checkpoint(same := mmbackbones.SwinTransformer('tiny'), tmp_path / 'file.pth')
    for mine, other in zip(net.net.parameters(), same.parameters(), strict=True):
        assert torch.equal(mine, other)
    gray = timm.create_model('mmbackbones_swin_tiny', features_only=True, in_chans=1, **options)
    kernel, wanted = gray.net.stem.proj.weight, same.stem.proj.weight.sum(1, keepdim=True)
    torch.testing.assert_close(kernel, wanted)
    assert net.default_cfg['mean'] == (0.485, 0.456, 0.406) == net.pretrained_cfg['mean']
    wide = timm.create_model('mmbackbones_maxvit_tiny.1k_384', features_only=True)
    assert wide.default_cfg['std'] == (0.5, 0.5, 0.5)
    assert wide.default_cfg['input_size'] == (3, 384, 384)
    assert wide.net.stages[0].blocks[1].attn.size == 12
    radar = timm.models.get_pretrained_cfg('mmbackbones_swin_v2_base.sentinel_1')
    assert (radar.input_size, radar.mean, radar.std) == ((2, 512, 512), (0, 0), (1, 1))
    files = list(mmbackbones.weights.published.every_published())
    assert len(adapter_of_timm.FILES) == len(files)  # no two have one name


@pytest.mark.slow
def test_timm_counts_stages_from_the_end():
    timm, _ = library('timm'), adapter('timm')
    for given, wanted in ((2, (2, 3)), ((-1,), (3,)), (None, (0, 1, 2, 3))):
        net = timm.create_model('mmbackbones_swin_tiny', features_only=True, out_indices=given)
        assert net.net.out_indices == wanted == tuple(net.feature_info.out_indices)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(features_only=False), 'has no classifier: give features_only=True'),
        (dict(out_indices=(0, 4)), r'out_indices is \(0, 4\); choose one or more of 0, 1, 2, 3'),
        (dict(output_stride=16), 'has the stride 32, above output_stride=16'),
        (dict(img_size=64), 'DaViT has no argument img_size; it has'),
        (dict(pretrained=True), 'mmbackbones_davit_large has no published weights'),
    ],
)
def test_what_timm_cannot_have_is_said(options, words):
    timm, _ = library('timm'), adapter('timm')
    with pytest.raises((TypeError, ValueError), match=words):
        timm.create_model('mmbackbones_davit_large', **dict(features_only=True) | options)


DECODERS = {'Unet': {}, 'FPN': {}, 'DeepLabV3Plus': dict(encoder_depth=4)}


@pytest.mark.slow
@every_class
@pytest.mark.parametrize('decoder', DECODERS)
def test_segmentation_models_pytorch_takes_a_step(name, decoder):
    smp, _ = library('segmentation_models_pytorch'), adapter('timm')
    options = dict(encoder_weights=None, in_channels=4, classes=3) | DECODERS[decoder]
    model = getattr(smp, decoder)(f'tu-{named(name)}', **options)
    scores = model(torch.rand(2, 4, 64, 96))
    assert scores.shape == (2, 3, 64, 96)
    F.cross_entropy(scores, torch.randint(3, (2, 64, 96))).backward()
    # Of stages that a decoder leaves out, it leaves out the norms.
    unused = [n for n, p in model.encoder.named_parameters() if p.grad is None]
    assert all(re.match(r'model\.net\.(norm\d|up)\.', n) for n in unused), unused


@pytest.mark.slow
@pytest.mark.parametrize('detector', ['MaskRCNN', 'FasterRCNN', 'RetinaNet'])
@every_class
def test_torchvision_takes_a_step(name, detector):
    module = adapter('torchvision')
    from torchvision.models import detection
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    options = {}
    if detector == 'RetinaNet':
        options = dict(returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))
    arguments = dict(FAMILIES[name].tiny)
    backbone = module.fpn_backbone(name, **arguments, in_channels=4, trainable_layers=3, **options)
    sizes = dict(min_size=64, max_size=96, image_mean=[0.5] * 4, image_std=[0.2] * 4)
    model = getattr(detection, detector)(backbone, num_classes=3, **sizes)
    images = [torch.rand(4, 61, 90), torch.rand(4, 50, 77)]
    box, labels = torch.tensor([[5.0, 6, 30, 40]]), torch.tensor([1])
    masks = [torch.ones(1, *image.shape[1:], dtype=torch.uint8) for image in images]
    losses = model(images, [dict(boxes=box, labels=labels, masks=mask) for mask in masks])
    sum(losses.values()).backward()
    learned = {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert not any(n.startswith(('body.stem.', 'body.stages.0.')) for n in learned)
    assert {n for n, p in model.backbone.named_parameters() if p.grad is not None} == learned
    with torch.no_grad():
        assert len(model.eval()(images)) == 2


@pytest.mark.slow
def test_a_pyramid_of_torchvision_loads_weights_and_counts_layers_from_one(tmp_path):
    module = adapter('torchvision')
    arguments = FAMILIES['SwinTransformer'].tiny
    torch.save(mmbackbones.SwinTransformer(**arguments).state_dict(), tmp_path / 'file.pth')
    make = lambda **more: module.fpn_backbone('SwinTransformer', **arguments, **more)  # noqa: E731
    pyramid = make(weights=tmp_path / 'file.pth', returned_layers=[2, 4], out_channels=8)
    assert pyramid.body.out_indices == (1, 3)
    assert pyramid.body.frozen_stages == -1
    maps = pyramid(torch.rand(1, 3, 65, 97))
    assert {name: tuple(each.shape[1:]) for name, each in maps.items()} == {
        '0': (8, 9, 13),
        '1': (8, 3, 4),
        'pool': (8, 2, 2),
    }
    saved = torch.load(tmp_path / 'file.pth')['stages.1.blocks.0.mlp.fc1.weight']
    assert torch.equal(pyramid.body.stages[1].blocks[0].mlp.fc1.weight, saved)
    with pytest.raises(ValueError, match='trainable_layers is 6; choose from 0, 1, 2, 3, 4, 5'):
        make(trainable_layers=6)
    with pytest.raises(ValueError, match=r'backbone_name is .resnet50.; choose from'):
        module.fpn_backbone('resnet50', 'tiny')


def hf_config(name, **options):
    """The config in transformers of a small net."""
    arguments = dict(FAMILIES[name].tiny)
    make = adapter('transformers').MMBackbonesConfig
    return make(name, arguments.pop('arch'), arguments=arguments, **options)


EVERY = dict(out_features=['stage1', 'stage2', 'stage3', 'stage4'])
SMALL = dict(encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, num_queries=4)
HEADS = {
    'UperNetForSemanticSegmentation': (
        'UperNetConfig',
        dict(hidden_size=8, auxiliary_channels=8),
        dict(labels=torch.ones(2, 65, 97, dtype=torch.long)),
    ),
    'DetrForObjectDetection': (
        'DetrConfig',
        dict(d_model=32, decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8) | SMALL,
        dict(labels=[dict(class_labels=torch.ones(1).long(), boxes=torch.full((1, 4), 0.4))] * 2),
    ),
}


@pytest.mark.slow
@every_class
def test_transformers_saves_and_loads_a_backbone_whole(name, tmp_path):
    module, transformers = adapter('transformers'), library('transformers')
    config = hf_config(name, num_channels=4, out_indices=[1, -1])
    net = transformers.AutoBackbone.from_config(config).eval()
    net.save_pretrained(tmp_path)
    same = module.MMBackbonesBackbone.from_pretrained(tmp_path).eval()
    assert same.out_features == ['stage2', 'stage4']
    image = torch.rand(1, 4, 65, 97)
    with torch.no_grad():
        maps, others = net(image).feature_maps, same(image).feature_maps
    for mine, other, channels in zip(maps, others, net.channels, strict=True):
        assert mine.shape[1] == channels
        assert torch.equal(mine, other)


@pytest.mark.slow
@every_class
def test_what_a_file_of_transformers_lacks_starts_as_in_a_new_net(name, tmp_path):
    """And nothing that was loaded is started again."""
    module = adapter('transformers')
    net = module.MMBackbonesBackbone(hf_config(name))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.25)
    kept = {n: t for n, t in net.state_dict().items() if '.blocks.0.' not in n}
    net.save_pretrained(tmp_path, state_dict=dict(kept))  # which it empties
    same = module.MMBackbonesBackbone.from_pretrained(tmp_path)
    torch.manual_seed(0)
    new = dict(module.MMBackbonesBackbone(hf_config(name)).named_parameters())
    for key, parameter in same.named_parameters():
        if key in kept:
            assert torch.equal(parameter, torch.full_like(parameter, 0.25)), key
        else:
            wanted = new[key].std(correction=0).item()
            assert parameter.std(correction=0).item() == pytest.approx(wanted, rel=0.5, abs=2e-3)
            assert abs(parameter.mean() - new[key].mean()) < 0.1, key


@pytest.mark.slow
@every_class
@pytest.mark.parametrize('head', HEADS)
def test_transformers_takes_a_step(name, head, tmp_path):
    transformers = library('transformers')
    config, options, labels = HEADS[head]
    chosen = {} if config == 'DetrConfig' else EVERY
    config = getattr(transformers, config)(
        backbone_config=hf_config(name, **chosen), num_labels=3, **options
    )
    model = getattr(transformers, head)(config)
    image = torch.rand(2, 3, 65, 97)
    model(pixel_values=image, **labels).loss.backward()
    learned = [p for n, p in model.named_parameters() if '.net.' in n and p.requires_grad]
    assert learned
    assert all(p.grad is not None for p in learned)
    model.eval().save_pretrained(tmp_path)
    same = type(model).from_pretrained(tmp_path).eval()
    with torch.no_grad():
        mine, other = (net(pixel_values=image).logits for net in (model, same))
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-8)  # alignment of memory rounds


@pytest.mark.slow
def test_the_backbone_of_transformers_from_timm():
    transformers, _ = library('transformers'), adapter('timm')
    options = dict(backbone='mmbackbones_swin_tiny', num_channels=4, out_indices=[1, 3])
    config = transformers.TimmBackboneConfig(**options)
    net = transformers.AutoBackbone.from_config(config)
    shapes = [tuple(each.shape) for each in net(torch.rand(1, 4, 65, 97)).feature_maps]
    assert shapes == [(1, 192, 9, 13), (1, 768, 3, 4)]
    assert net.channels == [192, 768]


@pytest.mark.slow
def test_what_transformers_cannot_have_is_said():
    make = adapter('transformers').MMBackbonesConfig
    with pytest.raises(ValueError, match=r'backbone is .resnet.; choose from .*DaViT'):
        make('resnet')
    with pytest.raises(ValueError, match='out_features must be a subset of stage_names'):
        make(out_features=['stem'])
    with pytest.raises(TypeError, match='SwinTransformer has no argument windows; it has arch'):
        make(arguments=dict(windows=3))


@pytest.mark.slow
@pytest.mark.parametrize(
    'lines', re.findall('```python\n(.*?)```', PAGE, re.S), ids=lambda lines: lines.split()[1]
)
def test_the_lines_of_the_page_work(lines):
    for name in re.findall(r'^(?:import|from) (\w+)', lines, re.M):
        library(name)
    exec(compile(lines, 'README.md', 'exec'), {})
