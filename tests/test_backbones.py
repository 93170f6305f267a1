"""The contract, for every registered class."""

import copy
import math
from contextlib import nullcontext

import pytest
import torch
from families import FAMILIES, NAMES, TINY, build, every_class, gradients
from lib.memory import Storages, kept
from versions import needs_recomputation

import mmbackbones
from mmbackbones import no_recomputation
from mmbackbones.layers import rows
from mmbackbones.registry import MODELS

SIZES = [(64, 64), (61, 97), (33, 200), (28, 28), (1, 1), (5, 1)]
BATCH_NORMS = [name for name in NAMES if FAMILIES[name].batch_norm]
NORMS_IN_BLOCKS = [name for name in NAMES if FAMILIES[name].norms_in_blocks]
WINDOWED = [name for name in NAMES if 'window_size' in FAMILIES[name].options]
ATTENDING = [name for name in NAMES if FAMILIES[name].attends]
# VOLO has one design of stages, and settings for two of them.
ANY_STAGES = [name for name in NAMES if len(TINY[name]['arch']['dims']) == 4]


@every_class
@pytest.mark.parametrize('size', SIZES)
def test_pyramid_of_any_size(name, size):
    net = build(name).eval()
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        outs, again = net(x), net(x)
    assert isinstance(outs, tuple)
    assert net.out_strides == (4, 8, 16, 32)
    for out, second, stride, channels in zip(
        outs, again, net.out_strides, net.out_channels, strict=True
    ):
        assert out.shape == (2, channels, *(math.ceil(s / stride) for s in size))
        assert out.isfinite().all()
        assert torch.equal(out, second)


@every_class
def test_a_large_image(name):
    net = MODELS.get(name)(TINY[name]['arch'] | FAMILIES[name].large).eval()
    with torch.no_grad():
        outs = net(torch.randn(1, 3, 1499, 1999))
    assert [out.shape[2:] for out in outs] == [(375, 500), (188, 250), (94, 125), (47, 63)]
    assert all(out.isfinite().all() for out in outs)


@every_class
def test_one_image_does_not_know_of_another(name):
    net = build(name).eval()
    x = torch.randn(2, 3, 61, 97)
    for both, alone in zip(net(x), net(x[1:]), strict=True):
        assert torch.allclose(both[1:], alone, atol=1e-5)


@every_class
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('size', [(56, 64), (61, 97), (130, 30)])
def test_recomputation_changes_nothing(name, size, training):
    """Neither outputs, nor gradients of the image and of parameters, nor running statistics."""
    net = build(name, drop_path_rate=0.2).double().train(training)
    x = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    results = []
    for context in (nullcontext, no_recomputation):
        torch.manual_seed(1)
        net.load_state_dict(state)
        with context():
            outs = net(x)
            loss = sum(out.square().mean() for out in outs)
            grads = torch.autograd.grad(loss, [x, *net.parameters()])
        results.append([*outs, *grads, *(value.double() for value in net.state_dict().values())])
    for found, wanted in zip(*results, strict=True):
        assert (found - wanted).abs().max() <= 1e-9 * (1e-2 + wanted.abs().max())


@every_class
@pytest.mark.parametrize(
    ('size', 'some'), [((56, 64), 2**12), ((61, 97), 2**13), ((130, 30), 2**12)]
)
def test_rows_at_a_time_change_nothing(name, size, some, monkeypatch):
    net, x = build(name).double().eval(), torch.randn(2, 3, *size, dtype=torch.double)
    results, tensors = [], []
    for numbers in (1, some, 2**30):  # a row at a time, some, all at once
        monkeypatch.setattr(rows, 'NUMBERS', numbers)
        with torch.no_grad(), Storages() as made:
            results.append(net(x))
        tensors.append(len(made.sizes))
    assert tensors[0] > tensors[1] > tensors[2]
    for few in results[:2]:
        for got, wanted in zip(few, results[2], strict=True):
            assert (got - wanted).abs().max() <= 1e-9 * (1e-2 + wanted.abs().max())


@needs_recomputation
@every_class
def test_activation_memory(name):
    """A norm or an activation that is recomputed no more takes more than the margin of 1 %."""
    net, x = build(name).train(), torch.randn(2, 3, 224, 224)
    net(x)  # so that cached orders of windows are not counted
    found = kept(lambda: net(x))
    assert found == pytest.approx(FAMILIES[name].activations, rel=0.01)
    with no_recomputation():
        assert found < 0.95 * kept(lambda: net(x))


@every_class
@pytest.mark.parametrize('size', [(64, 64), (61, 97), (1, 1)])
def test_every_parameter_gets_a_gradient(name, size):
    found = gradients(build(name).train(), torch.randn(2, 3, *size))
    assert [n for n, grad in found.items() if not grad.isfinite().all()] == []
    if size != (1, 1):  # a map of one token has no offsets to learn from
        assert [n for n, grad in found.items() if not grad.any()] == []


@every_class
def test_checkpointing_changes_nothing(name):
    x = torch.randn(2, 3, 61, 97)
    usual, saving = build(name, drop_path_rate=0.2), build(name, drop_path_rate=0.2, with_cp=True)
    saving.load_state_dict(usual.state_dict())
    results = []
    for net in (usual, saving):
        torch.manual_seed(1)
        results.append(gradients(net.train(), x))
    for parameter, grad in results[0].items():
        assert torch.allclose(grad, results[1][parameter], atol=1e-6), parameter
    for (statistic, one), two in zip(usual.named_buffers(), saving.buffers(), strict=True):
        assert torch.allclose(one, two), statistic


@pytest.mark.parametrize('name', NORMS_IN_BLOCKS)
def test_one_value_per_channel_does_not_spoil_the_statistics(name):
    net, x = build(name).train(), torch.randn(1, 3, 1, 1)
    with pytest.raises(ValueError, match=r'one value per channel|more than 1 value per channel'):
        net(x)
    assert all(value.isfinite().all() for value in net.state_dict().values())
    assert build(name, norm_eval=True).train()(x)[0].isfinite().all()


@every_class
def test_checkpointing_saves_memory(name):
    saved = {}
    for with_cp in (False, True):
        net, numbers = build(name, with_cp=with_cp).train(), []
        hooks = (lambda t: numbers.append(t.numel()) or t, lambda t: t)  # noqa: B023
        with no_recomputation(), torch.autograd.graph.saved_tensors_hooks(*hooks):
            net(torch.randn(1, 3, 64, 64))
        saved[with_cp] = sum(numbers)
    assert saved[True] < saved[False] / 2


@every_class
def test_checkpointing_saves_more_memory_than_recomputation_alone(name):
    x = torch.randn(1, 3, 64, 64)
    usual, checkpointed = (build(name, with_cp=with_cp).train() for with_cp in (False, True))
    assert kept(lambda: checkpointed(x)) < 0.8 * kept(lambda: usual(x))


@every_class
@pytest.mark.parametrize('frozen', [-1, 0, 1, 2, 3, 4])
def test_frozen_stages(name, frozen):
    net = build(name, frozen_stages=frozen)
    parts = [] if frozen < 0 else ['stem.', *(f'stages.{i}.' for i in range(frozen))]
    parts += [f'norm{i}.' for i in range(max(frozen, 0))]
    held = tuple(parts) or ('nothing',)
    for _ in range(2):  # in the constructor, before DDP looks, and after train()
        for parameter, p in net.named_parameters():
            assert p.requires_grad == (not parameter.startswith(held))
        assert net.train() is net
        for module_name, module in net.named_modules():
            frozen_module = (module_name + '.').startswith(held)
            assert module.training == (not frozen_module or not module_name)
    assert net.eval() is net
    assert not any(module.training for module in net.modules())


@every_class
@pytest.mark.parametrize('indices', [(0,), (3,), (1, 2, 3), (0, 2)])
def test_out_indices_leave_nothing_unused(name, indices):
    whole, part = build(name).train(), build(name, out_indices=indices).train()
    part.load_state_dict(whole.state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 64)
    outs = whole.eval()(x)
    assert part.out_channels == tuple(whole.out_channels[i] for i in indices)
    assert part.out_strides == tuple(whole.out_strides[i] for i in indices)
    for index, out in zip(indices, part.eval()(x), strict=True):
        assert torch.equal(out, outs[index])
    assert all(grad.any() for grad in gradients(part.train(), x).values())


@every_class
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('size', [(64, 64), (33, 61)])
def test_autocast_is_finite(name, dtype, size):
    net = build(name).train()
    with torch.autocast('cpu', dtype):
        outs = net(torch.randn(2, 3, *size))
        loss = sum(out.float().square().mean() for out in outs)
    loss.backward()
    assert all(out.isfinite().all() for out in outs)
    assert all(p.grad.isfinite().all() for p in net.parameters())


@every_class
def test_autocast_is_near_full_precision(name):
    net, x = build(name).eval(), torch.randn(1, 3, 61, 97)
    with torch.no_grad():
        exact = net(x)
        with torch.autocast('cpu', torch.bfloat16):
            rough = net(x)
    for a, b in zip(exact, rough, strict=True):
        assert (a - b).std() < 0.05 * a.std()


@every_class
def test_state_dict_round_trip(name, tmp_path):
    net, other, x = build(name).eval(), build(name).eval(), torch.randn(1, 3, 40, 40)
    torch.save(net.state_dict(), tmp_path / 'own.pth')
    report = mmbackbones.load_checkpoint(other, tmp_path / 'own.pth')
    assert report.format == 'mmbackbones'
    assert (report.dropped, report.resized, report.new) == ([], [], [])
    assert all(torch.equal(a, b) for a, b in zip(net(x), other(x), strict=True))
    assert not any('index' in key or 'mask' in key for key in net.state_dict())


@every_class
@pytest.mark.parametrize('channels', [1, 2, 4, 6])
def test_weights_for_rgb_serve_other_images(name, channels, tmp_path):
    """Grey seen once is what it was as RGB; channels in turn are so too, where they are equal."""
    net, other = build(name).eval(), build(name, in_channels=channels).eval()
    torch.save(net.state_dict(), tmp_path / 'rgb.pth')
    report = mmbackbones.load_checkpoint(other, tmp_path / 'rgb.pth')
    assert len(report.resized) == 1
    assert report.resized[0].startswith('stem.')
    grey = torch.randn(1, 1, 40, 45)
    outs = other(grey.expand(-1, channels, -1, -1))
    if channels in (1, 6):
        for out, want in zip(outs, net(grey.expand(-1, 3, -1, -1)), strict=True):
            assert torch.allclose(out, want, atol=1e-4)
    torch.save(other.state_dict(), tmp_path / 'other.pth')
    with pytest.raises(mmbackbones.CheckpointError, match='stem'):
        mmbackbones.load_checkpoint(net, tmp_path / 'other.pth')


def count(name, arch, leave_out=(), **kwargs):
    """Exact parameters of a published size, without those whose names start as told."""
    with torch.device('meta'):
        net = MODELS.get(name)(arch, **kwargs)
    parameters = net.named_parameters()
    return sum(p.numel() for n, p in parameters if not n.startswith(leave_out or ('nothing',)))


def counts(which):
    """(class, arch or (arch, window), count) of a column of the table."""
    rows = [(name, *item) for name in NAMES for item in getattr(FAMILIES[name], which).items()]
    return pytest.mark.parametrize(('name', 'arch', 'published'), rows)


@counts('counts')
def test_parameter_counts(name, arch, published):
    arch, window = arch
    assert count(name, arch, window_size=window) == published


@counts('trunks')
def test_parameter_counts_of_trunks(name, arch, published):
    assert count(name, arch, ('norm', 'up.')) == published


@counts('millions')
def test_parameter_counts_of_those_published_in_millions(name, arch, published):
    assert round(count(name, arch) / 1e6, 1) == published


def test_container_full_fits_the_paper():
    assert round((count('Container', 'full', ('norm',)) + 512 * 1000 + 1000) / 1e6, 1) == 21.8


@every_class
def test_output_norms_exist_where_the_authors_have_them(name):
    parameters = [n for n, _ in build(name, out_indices=(0, 3)).named_parameters()]
    norms = ['norm0.weight', 'norm0.bias', 'norm3.weight', 'norm3.bias']
    found = [n for n in parameters if n.startswith('norm')]
    assert found == (norms if FAMILIES[name].output_norms else [])


@every_class
@pytest.mark.parametrize(
    ('kwargs', 'error', 'words'),
    [
        (dict(arch='huger'), ValueError, r"arch is 'huger'; choose from ARCHS"),
        (dict(arch=dict(dims=(1,))), ValueError, r'arch has the keys dims; it takes '),
        (dict(out_indices=(0, 7)), ValueError, r'out_indices is \(0, 7\); choose .* 0, 1, 2, 3'),
        (dict(out_indices=(2, 1)), ValueError, r'rising order'),
        (dict(out_indices=()), ValueError, r'choose one or more'),
        (dict(frozen_stages=5), ValueError, r'frozen_stages is 5; choose from -1, 0'),
        (dict(drop_path_rate=1.5), ValueError, r'drop_path_rate is 1.5; .* 0 .* 1'),
        (dict(window=7), TypeError, r'has no argument window; it has arch, .*with_cp, init_cfg'),
    ],
)
def test_wrong_arguments_are_named(name, kwargs, error, words):
    kind = MODELS.get(name)
    with pytest.raises(error, match=words.replace('ARCHS', ', '.join(kind.archs))):
        kind(**kwargs)


@pytest.mark.parametrize('name', WINDOWED)
@pytest.mark.parametrize('size', [0, -7])
def test_windows_have_tokens(name, size):
    with pytest.raises(ValueError, match=f'window_size is .*{size}.*; give'):
        MODELS.get(name)(window_size=size)


@pytest.mark.parametrize('name', ATTENDING)
def test_heads_split_the_channels(name):
    arch = TINY[name]['arch']
    arch = dict(arch, dims=[dim + 1 for dim in arch['dims']])
    with pytest.raises(ValueError, match=r'channels do not split into \d+ heads'):
        MODELS.get(name)(arch)


@every_class
@pytest.mark.parametrize(
    'image',
    [
        torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
        torch.zeros(3, 32, 32),
        torch.zeros(1, 4, 32, 32),
        torch.zeros(1, 3, 0, 32),
    ],
)
def test_wrong_images_are_named(name, image):
    with pytest.raises(ValueError, match=r'floats of shape \(B, 3, H, W\), found torch\.'):
        build(name)(image)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmengine'])
@every_class
def test_resolves_from_other_scopes(name, scope):
    registry = pytest.importorskip(f'{scope}.registry').MODELS
    net = registry.build(dict(type=f'mmbackbones.{name}', **TINY[name]))
    assert type(net) is MODELS.get(name)


@pytest.mark.parametrize('name', BATCH_NORMS)
@pytest.mark.parametrize('with_cp', [False, True])
def test_synchronised_batch_norms(name, with_cp):
    """In a single process they are the usual ones: equal outputs, gradients and statistics."""
    usual = build(name, with_cp=with_cp, frozen_stages=1).train()
    synced = torch.nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(usual))
    norms = [m for m in usual.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    found = [m for m in synced.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    assert [m.training for m in found] == [m.training for m in norms]
    assert norms
    x, results = torch.randn(2, 3, 61, 97), []
    for net in (usual, synced):
        grads = gradients(net, x)
        results.append([*grads.values(), *net.state_dict().values(), *net.eval()(x)])
    for one, two in zip(*results, strict=True):
        assert (one - two).abs().max() <= 1e-4 * (1e-2 + one.abs().max())


@pytest.mark.parametrize('stages', [1, 3, 5])
@pytest.mark.parametrize('name', ANY_STAGES)
def test_an_arch_has_as_many_stages_as_it_likes(name, stages):
    arch = {
        key: (*value, value[-1])[:stages] if isinstance(value, tuple) else value
        for key, value in TINY[name]['arch'].items()
    }
    net = build(name, arch=arch, frozen_stages=stages)
    assert net.out_strides == (4, 8, 16, 32, 64)[:stages]
    assert not any(p.requires_grad for p in net.parameters())
    outs = net(torch.randn(1, 3, 70, 130))
    for out, stride, dim in zip(outs, net.strides, net.out_channels, strict=True):
        assert out.shape == (1, dim, math.ceil(70 / stride), math.ceil(130 / stride))


def test_stages_beyond_those_of_a_checkpoint_are_new(tmp_path):
    arch = dict(dims=(16, 32, 64, 128, 256), depths=(1,) * 5, heads=(1,) * 5)
    four = {key: value[:4] for key, value in arch.items()}
    torch.save(mmbackbones.SwinTransformer(four).state_dict(), tmp_path / 'four.pth')
    net = mmbackbones.SwinTransformer(arch)
    report = mmbackbones.load_checkpoint(net, tmp_path / 'four.pth')
    assert report.new
    assert all(name.startswith(('norm4.', 'stages.4.')) for name in report.new)
