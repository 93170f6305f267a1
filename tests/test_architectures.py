"""What each paper's own parts promise, beyond the contract that all classes share."""

import math

import pytest
import torch
import torch.nn.functional as F
from families import FAMILIES, TINY, build, every_class
from torch import nn

from mmbackbones.backbone import Backbone
from mmbackbones.layers import DropPath
from mmbackbones.models import container, davit, maxvit, swin_v2, volo
from mmbackbones.registry import MODELS


def saved(run):
    """The largest tensor, in numbers, that is saved for the backward pass."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: sizes.append(t.numel()) or t, lambda t: t
    ):
        run()
    return max(sizes)


def kernels(run):
    """The names of the operators that run, forward and backward."""
    with torch.profiler.profile() as profile:
        run().sum().backward()
    return {event.key for event in profile.key_averages()}


def rates(net):
    """Drop path rates of the blocks of a net, in order; all branches of a block share theirs."""
    blocks = [block for stage in net.stages for block in stage.blocks]
    found = [{m.rate for m in block.modules() if isinstance(m, DropPath)} for block in blocks]
    return [rate for (rate,) in found]


def attended(mixer, hw):
    """To how many tokens of a map the first one attends."""
    x = torch.randn(1, *hw, mixer.qkv.in_features, requires_grad=True)
    (grad,) = torch.autograd.grad(mixer(x)[0, 0, 0].sum(), x)
    return int(grad.any(-1).sum())


@every_class
def test_norms_have_the_eps_of_the_papers(name):
    net, row = build(name), FAMILIES[name]
    for kind, eps in ((nn.LayerNorm, row.layer_norm), (nn.BatchNorm2d, row.batch_norm)):
        found = {module.eps for module in net.modules() if isinstance(module, kind)}
        assert found == ({eps} if eps else set())


@every_class
def test_layers_are_counted_from_the_image(name):
    """Blocks are layers; a family may override that, as long as layers rise from the image on."""
    net = MODELS.get(name)(**TINY[name])
    depths, order = [], [n for n, _ in net.named_parameters()]
    for parameter in order:
        depth, layers = net.get_layer_depth('backbone.' + parameter, 'backbone.')
        if type(net).get_layer_depth is Backbone.get_layer_depth:
            assert layers == sum(len(stage.blocks) for stage in net.stages) + 2
            assert (depth == 0) == parameter.startswith('stem.')
        assert 0 <= depth < layers
        assert (depth == layers - 1) == (not parameter.startswith(('stem.', 'stages.')))
        depths.append(depth)
    assert depths == sorted(depths)
    assert depths[0] == 0


def test_swin_v2_shifts_only_maps_larger_than_a_window():
    attention = swin_v2.CosineAttention(8, 2, 8, 4, None)
    assert attended(attention, (9, 9)) == 4 * 4  # the others of its window come from the far ends
    assert attended(attention, (8, 99)) == attended(attention, (99, 8)) == 8 * 8


@pytest.mark.parametrize(
    ('window', 'trained', 'largest'),
    [(8, 8, 1.057), (16, 8, 1.394), (24, 12, 1.383), (16, 12, 1.191)],
)
def test_swin_v2_counts_offsets_in_windows_of_the_pretraining(window, trained, largest):
    assert swin_v2.LogBias(window, 2, trained).offsets.max().item() == pytest.approx(
        largest, abs=1e-3
    )


def test_swin_v2_limits_the_logit_scale():
    attention = swin_v2.CosineAttention(8, 2, 4, 0, None)
    nn.init.constant_(attention.logit_scale, 50)
    q, k, _ = attention.heads(attention.qkv(torch.randn(1, 16, 8)))
    assert torch.allclose(q.norm(dim=-1), torch.tensor(100.0))
    assert torch.allclose(k.norm(dim=-1), torch.tensor(1.0))


def test_swin_v2_starts_as_identity():
    block = swin_v2.PostNormBlock(8, swin_v2.CosineAttention(8, 2, 2, 1, None), 0.0)
    x = torch.randn(2, 3, 3, 8)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_swin_v2_gradients_of_padded_and_of_empty_maps_stay_finite(dtype):
    """Half precision overflows at the direction of a vector of length zero."""
    block = swin_v2.CosineAttention(32, 2, 8, 4, swin_v2.LogBias(8, 2, 8))
    for x in (torch.randn(1, 9, 13, 32), torch.zeros(1, 9, 13, 32)):
        with torch.autocast('cpu', dtype):
            block(x).float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in block.parameters())


def test_swin_v2_norms_the_main_branch_of_its_largest_sizes():
    with torch.device('meta'):
        net = swin_v2.SwinTransformerV2('huge')
    normed = [isinstance(block, swin_v2.NormedBlock) for block in net.stages[2].blocks]
    assert [i for i, yes in enumerate(normed) if yes] == [5, 11, 17]


@pytest.mark.parametrize('sizes', [(8, 8, 8), 1, (8, 8, 8, 1)])
def test_swin_v2_window_sizes(sizes):
    with pytest.raises(ValueError, match=r'window_size is .*; give one number or 4, from 2 up'):
        swin_v2.SwinTransformerV2('tiny', window_size=sizes)


@pytest.mark.parametrize('kind', [davit.ChannelAttention, davit.TokenScaledAttention])
def test_davit_sums_over_all_tokens_of_a_large_map_in_half_precision(kind):
    attention = kind(32, 1)
    nn.init.eye_(attention.qkv.weight[:32])
    nn.init.zeros_(attention.qkv.bias)
    with torch.no_grad():
        attention.qkv.weight[32:] = 2 * torch.eye(32).repeat(2, 1)
    x = 1 + torch.rand(1, 200, 336, 32)
    exact = attention(x)
    q, k, v = attention.qkv(x).flatten(1, 2).chunk(3, -1)
    assert min((k.mT @ v).max(), (q.mT @ k).max()) > 65504  # more than half precision holds
    with torch.autocast('cpu', torch.float16):
        rough = attention(x)
    rough.float().square().mean().backward()
    assert (exact - rough).abs().max() < 0.02 * exact.std()
    assert all(p.grad.isfinite().all() for p in attention.parameters())


def test_davit_parts():
    with torch.device('meta'):
        own, named = davit.DaViT(dict(dims=(8, 16), depths=(1, 1), heads=(1, 2))), davit.DaViT()
        florence = davit.DaViT('base_fl')
    parts = [
        (type(stage.blocks[1].attn), stage.blocks[0].attn.size, stage.downsample.proj.kernel_size)
        for stage in (net.stages[1] for net in (own, named, florence))
    ]
    papers = (davit.ChannelAttention, 7, (2, 2))
    assert parts == [papers, papers, (davit.TokenScaledAttention, 12, (3, 3))]
    with torch.device('meta'):
        assert davit.DaViT('huge_fl', window_size=7).stages[0].blocks[0].attn.size == 7
    with pytest.raises(ValueError, match=r"parts is 'florence2'; choose from paper, florence"):
        davit.DaViT(dict(davit.ARCHS['base_fl'], parts='florence2'))


def test_davit_of_florence_scales_by_the_tokens_of_each_map_in_one_graph():
    attention = davit.TokenScaledAttention(32, 2).eval()
    traced = torch.jit.trace(attention, torch.randn(1, 4, 6, 32))
    size = dict.fromkeys((1, 2), torch.export.Dim.DYNAMIC)
    exported = torch.export.export(attention, (torch.randn(1, 4, 6, 32),), dynamic_shapes=(size,))
    x = 3 * torch.randn(1, 13, 7, 32)
    for graph in (traced, exported.module()):
        assert torch.allclose(graph(x), attention(x), atol=1e-5)


def test_davit_drop_path_rises_from_half_to_half_of_a_dual_block():
    net = davit.DaViT('tiny', drop_path_rate=0.2)
    assert rates(net) == pytest.approx(torch.linspace(0, 0.2, 12).tolist())


def unfold_and_fold(net, x):
    """Outlook attention as the official code has it."""
    (B, H, W, C), window = x.shape, dict(kernel_size=3, padding=1, stride=2)
    v = F.unfold(net.v(x).permute(0, 3, 1, 2), **window)
    v = v.view(B, net.num_heads, C // net.num_heads, 9, -1).permute(0, 1, 4, 3, 2)
    pooled = F.avg_pool2d(x.permute(0, 3, 1, 2), 2, ceil_mode=True).permute(0, 2, 3, 1)
    weights = net.attn(pooled).reshape(B, -1, net.num_heads, 9, 9).transpose(1, 2)
    mixed = (weights * (C // net.num_heads) ** -0.5).softmax(-1) @ v
    mixed = mixed.permute(0, 1, 4, 3, 2).reshape(B, 9 * C, -1)
    return net.proj(F.fold(mixed, (H, W), **window).permute(0, 2, 3, 1))


@pytest.mark.parametrize('hw', [(8, 6), (7, 9), (1, 1), (2, 5)])
def test_outlook_attention_equals_unfold_and_fold_in_forward_and_all_gradients(hw):
    net = volo.OutlookAttention(16, 2).double()
    x = torch.randn(2, *hw, 16, dtype=torch.double, requires_grad=True)
    outs = net(x), unfold_and_fold(net, x)
    assert torch.allclose(*outs, atol=1e-12)
    grads = [torch.autograd.grad(out.pow(3).sum(), [x, *net.parameters()]) for out in outs]
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*grads, strict=True))


def test_volo_outlookers_have_no_drop_path():
    net = volo.VOLO('d1', drop_path_rate=0.1)
    assert rates(net)[:4] == [0, 0, 0, 0]
    assert rates(net)[4:] == pytest.approx(torch.linspace(0, 0.1, 18).tolist()[4:])


def test_volo_positions_are_untouched_at_their_own_grid():
    down = volo.Downsample(8, 16, 4)
    assert volo.resize(down.pos_embed, (4, 4)) is down.pos_embed
    assert down(torch.randn(1, 7, 11, 8)).shape == (1, 4, 6, 16)


@pytest.mark.parametrize(
    'mixer', [volo.Attention(64, 2), container.MixedAttention(64, container.local_affinity(64))]
)
def test_attention_between_all_tokens_never_holds_their_logits(mixer):
    x = torch.randn(1, 50, 84, 64)  # VOLO at 800 x 1344
    assert saved(lambda: mixer(x)) < 4200**2 / 10
    names = kernels(lambda: mixer(x[:, :10]))
    assert 'aten::_scaled_dot_product_flash_attention_for_cpu_backward' in names
    assert 'aten::_scaled_dot_product_attention_math' not in names


def test_container_gathers_by_both_affinities_in_a_learned_proportion():
    mixer = container.MixedAttention(32, container.local_affinity(32))
    x = torch.randn(1, 5, 6, 32)
    qkv = mixer.qkv(x)
    values = qkv.chunk(3, -1)[2]
    for share, want in ((-50.0, mixer.proj(mixer.static(values))), (50.0, None)):
        nn.init.constant_(mixer.sa_weight, share)
        dynamic = mixer.proj(mixer.attend(qkv.flatten(1, 2)).view_as(x))
        assert torch.allclose(mixer(x), dynamic if want is None else want, atol=1e-6)


def test_container_pam_is_a_matrix_at_its_own_size():
    affinity = container.GlobalAffinity(2, 4)
    v = torch.randn(3, 4, 4, 16)
    heads = v.flatten(1, 2).unflatten(-1, (2, 8)).transpose(1, 2)
    want = (affinity.weight @ heads).transpose(1, 2).flatten(2).view_as(v)
    assert torch.allclose(affinity(v), want, atol=1e-6)
    with torch.no_grad():
        affinity.weight.copy_(torch.eye(16))
    ones = torch.ones(1, 9, 13, 16)  # another size: averaged down, mixed, interpolated
    assert torch.allclose(affinity(ones), ones)


@pytest.mark.parametrize('hw', [(8, 8), (7, 9), (1, 2)])
def test_maxvit_convolutions_pad_as_tensorflow(hw):
    conv = maxvit.SameConv2d(3, 4, 3, 2)
    x = torch.randn(1, 3, *hw)
    total = [(math.ceil(side / 2) - 1) * 2 + 3 - side for side in hw]
    top, left = (pad // 2 for pad in total)
    pad = (left, total[1] - left, top, total[0] - top)
    assert torch.equal(conv(x), F.conv2d(F.pad(x, pad), conv.weight, conv.bias, 2))


def test_maxvit_parts():
    ours, torchvisions = maxvit.MaxViT('tiny'), maxvit.MaxViT('tiny_tv')
    gelus = [
        {m.approximate for m in net.modules() if isinstance(m, nn.GELU)}
        for net in (ours, torchvisions)
    ]
    assert gelus == [{'tanh'}, {'none'}]
    momenta = {m.momentum for m in ours.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {0.01}
    with pytest.raises(ValueError, match=r"parts is 'jax'; choose from tensorflow, torchvision"):
        maxvit.MaxViT(dict(maxvit.ARCHS['tiny'], parts='jax'))
