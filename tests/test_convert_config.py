"""Configs of mmdet and mmseg with our Swin: the same numbers, weights, rates and decays."""

import copy
import math
import sys
import warnings
from pathlib import Path

import convert_config as tool
import pytest
import torch
from mmengine.config import Config
from mmengine.config.lazy import LazyObject
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope

from mmbackbones import SwinTransformer, convert_config
from mmbackbones.convert import MMDET_FORMAT
from mmbackbones.convert.families import CLASSIFIER, CLASSIFIER_V2
from mmbackbones.convert.optimizer import tensor_names
from mmbackbones.registry import MODELS

DIMS = dict(embed_dims=16, depths=(2, 1, 1, 2), num_heads=(1, 2, 4, 8), window_size=4)
OURS = dict(arch=dict(dims=(16, 32, 64, 128), depths=(2, 1, 1, 2), heads=(1, 2, 4, 8)))
SLOW, STILL = dict(lr_mult=0.1, decay_mult=0.0), dict(decay_mult=0.0)
# As in the recipes of Mask2Former, and keys that hit other tensors under our names.
RECIPE = {
    'backbone': dict(lr_mult=0.1, decay_mult=1.0),
    'backbone.patch_embed.norm': SLOW,
    'backbone.norm': SLOW,
    'absolute_pos_embed': SLOW,
    'relative_position_bias_table': SLOW,
    'backbone.stages.0.blocks.1.norm': SLOW,
    'backbone.stages.0.downsample.norm': SLOW,
    'backbone.stages.1.downsample.norm': dict(lr_mult=0.3),
    'query_embed': STILL,
}
CUSTOM = [
    RECIPE,
    {'norm': STILL, 'absolute_pos_embed': STILL},
    {'backbone.stages.2': dict(lr_mult=0.5), 'patch_embed': dict(lr_mult=0.2), 'ffn': STILL},
    {'mlp': dict(lr_mult=3.0), 'stem': dict(lr_mult=2.0), 'attn.proj': STILL},
]
RULES = [{}, dict(norm_decay_mult=0.0, bias_lr_mult=2.0), dict(flat_decay_mult=0.5)]


class Model(torch.nn.Module):
    """A backbone, and a head with names like those of a backbone."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = torch.nn.ModuleDict(dict(mlp=torch.nn.Linear(2, 2), norm=torch.nn.LayerNorm(2)))


def config(scope='mmdet', **backbone):
    """A config with a small Swin of theirs."""
    backbone = dict(type='SwinTransformer', **(DIMS | backbone))
    return dict(default_scope=scope, model=dict(type='Model', backbone=backbone))


def converted(scope='mmdet', **backbone):
    """Our backbone for one of theirs."""
    return convert_config(config(scope, **backbone))['model']['backbone']


def settings(model, cfg):
    """{name: (learning rate, weight decay)} as mmengine's constructor gives it to a model."""
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg['optim_wrapper']))
    groups = wrapper.optimizer.param_groups
    found = {id(p): (g['lr'], g['weight_decay']) for g in groups for p in g['params']}
    return {name: found[id(p)] for name, p in model.named_parameters()}


def our_name(name):
    """Our name for a tensor of theirs, as the loader says."""
    part = name.removeprefix('backbone.')
    return name if part == name else f'backbone.{MMDET_FORMAT.rename(part)}'


def theirs(scope, args):
    """Their own module."""
    pytest.importorskip(f'{scope}.models')
    with DefaultScope.overwrite_default_scope(scope):
        return ROOT_MODELS.build(dict(args, type=f'{scope}.SwinTransformer'))


@pytest.mark.parametrize('rules', RULES, ids=['none', 'norms', 'flat'])
@pytest.mark.parametrize('keys', CUSTOM, ids=['mask2former', 'norms', 'stages', 'accidents'])
def test_rates_and_decays_fall_on_the_same_tensors(keys, rules):
    cfg = config()
    optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
    paramwise = dict(custom_keys=copy.deepcopy(keys), **rules)
    cfg['optim_wrapper'] = dict(optimizer=optimizer, paramwise_cfg=paramwise)
    new = convert_config(Config(cfg))
    before = settings(Model(theirs('mmdet', DIMS)), cfg)
    after = settings(Model(MODELS.build(new.model.backbone)), new)
    assert {our_name(name): value for name, value in before.items()} == after
    assert cfg['optim_wrapper']['paramwise_cfg']['custom_keys'] == keys  # the input stays


def test_keys_are_rewritten_as_a_person_would():
    cfg = config()
    cfg['optim_wrapper'] = dict(paramwise_cfg=dict(custom_keys=RECIPE))
    keys = convert_config(cfg)['optim_wrapper']['paramwise_cfg']['custom_keys']
    assert keys['backbone.stem.norm'] == keys['backbone.stages.1.downsample.norm'] == SLOW
    assert keys['backbone.stages.2.downsample.norm'] == dict(lr_mult=0.3)
    gone = {'backbone.patch_embed.norm', 'backbone.stages.0.downsample.norm'}
    added = {'backbone.stem.norm', 'backbone.stages.2.downsample.norm'}
    assert keys.keys() == RECIPE.keys() - gone | added


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_the_outputs_are_theirs(scope):
    five = dict(depths=(1, 2, 1, 1, 1), num_heads=(1, 1, 2, 2, 4), strides=(4, 2, 2, 2, 2))
    args = DIMS | five | dict(out_indices=(1, 4))
    old, new = theirs(scope, args), MODELS.build(converted(scope, **args)).eval()
    old.eval()  # which returns nothing
    new.load_state_dict(old.state_dict(), strict=True)
    image = torch.rand(1, 3, 72, 130)
    with torch.no_grad():
        for ours, wanted in zip(new(image), old(image), strict=True):
            torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)
    assert new.out_strides == (8, 64)


def test_every_argument_arrives():
    args = dict(drop_path_rate=0.3, with_cp=True, in_channels=4, out_indices=[2, 1])
    found = converted(**args, frozen_stages=0, convert_weights=True, pretrained='swin.pth')
    wanted = dict(OURS, type='mmbackbones.SwinTransformer', window_size=4, frozen_stages=0)
    wanted |= args | dict(
        out_indices=(1, 2), init_cfg=dict(type='Pretrained', checkpoint='swin.pth')
    )
    assert found == wanted
    assert MODELS.build(dict(found, init_cfg=None)).out_channels == (32, 64)
    published = convert_config(dict(model=dict(backbone=dict(type='mmdet.SwinTransformer'))))
    assert published['model']['backbone']['arch'] == 'tiny'
    assert published['custom_imports']['imports'] == ['mmbackbones']


def test_mmpretrain_counts_its_frozen_stages_from_zero():
    backbone = dict(type='mmpretrain.SwinTransformer', arch='b', frozen_stages=1)
    with pytest.warns(UserWarning, match='freezes 2 stages and in mmpretrain also the downsampl'):
        found = convert_config(dict(model=dict(backbone=backbone)))['model']['backbone']
    assert (found['arch'], found['frozen_stages'], found['out_indices']) == ('base', 2, (3,))


def test_inner_models_lists_classes_and_segmentors_count_too():
    swin = dict(type=LazyObject('mmdet.models.backbones', 'SwinTransformer'), **DIMS)
    cfg = Config(
        dict(
            model=dict(
                pretrained='swin.pth',
                backbone=swin,
                teacher=dict(backbone=dict(type='mmdet.models.backbones.swin.SwinTransformer')),
                others=[dict(_scope_='mmpretrain', type='SwinTransformer', arch='tiny')],
            ),
            custom_imports=dict(imports='mine', allow_failed_imports=True),
        )
    )
    new = convert_config(cfg)
    nodes = [new.model.backbone, new.model.teacher.backbone, new.model.others[0]]
    assert [node.type for node in nodes] == ['mmbackbones.SwinTransformer'] * 3
    assert new.model.pretrained is None
    assert new.model.backbone.init_cfg.checkpoint == 'swin.pth'
    wanted = dict(imports=['mine', 'mmbackbones'], allow_failed_imports=True)
    assert new.custom_imports == wanted
    assert cfg.model.pretrained == 'swin.pth'


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            dict(mlp_ratio=2),
            r'model.backbone.mlp_ratio is 2, and mmbackbones.* has 4 alone; change',
        ),
        (dict(qk_scale=0.1), 'qk_scale is 0.1'),
        (dict(use_abs_pos_embed=True), 'use_abs_pos_embed is True'),
        (dict(strides=(4, 2, 2, 1)), r'strides is \(4, 2, 2, 1\)'),
        (dict(norm_cfg=dict(type='LN', eps=1e-6)), 'norm_cfg is .*1e-06'),
        (dict(act_cfg=dict(type='ReLU')), "act_cfg is {'type': 'ReLU'}"),
        (dict(window=7), 'model.backbone has window, which no SwinTransformer of mmdet takes'),
        (dict(pretrained='a', init_cfg=dict(type='Pretrained', checkpoint='b')), 'both pretrained'),
    ],
)
def test_what_ours_cannot_be_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        convert_config(config(**change))


def test_a_config_without_a_swin_is_an_error():
    with pytest.raises(ValueError, match='the config has no SwinTransformer of mmdet, mmseg or'):
        convert_config(dict(model=dict(backbone=dict(type='mmbackbones.SwinTransformer'))))


def test_stages_of_an_arch_are_as_many_for_all_numbers():
    with pytest.raises(ValueError, match='arch has 2 of dims, 1 of depths, 2 of heads; give one'):
        SwinTransformer(dict(dims=(16, 32), depths=(1,), heads=(1, 2)))


SWIN = dict(type='SwinTransformer')
OFFICIAL = dict(SWIN, embed_dim=16, depths=[2, 1], num_heads=[1, 2], out_indices=(0, 1), ape=False)
PARTS = dict(embed_dims=16, depths=[2, 2], num_heads=[1, 2])


def ours(backbone, scope='mmpretrain'):
    """Our backbone in a config of a scope."""
    return convert_config(dict(default_scope=scope, model=dict(backbone=backbone)))['model'][
        'backbone'
    ]


@pytest.mark.parametrize(
    ('backbone', 'windows'),
    [
        (dict(stage_cfgs=dict(block_cfgs=dict(window_size=12))), 12),
        (dict(window_size=6, img_size=192), 6),
        (dict(stage_cfgs=None), 7),
        (
            dict(stage_cfgs=[dict(window_size=14), dict(block_cfgs=[dict(window_size=7)] * 2)]),
            (14, 7),
        ),
        (
            dict(
                window_size=3, stage_cfgs=[{}, dict(block_cfgs=dict(ffn_ratio=4.0, window_size=5))]
            ),
            (3, 5),
        ),
    ],
)
def test_windows_of_mmpretrain_are_found_wherever_they_stand(backbone, windows):
    backbone = dict(SWIN, arch=PARTS, out_indices=(0, 1), pad_small_map=True, **backbone)
    found = ours(backbone)
    assert found['window_size'] == windows
    sizes = windows if isinstance(windows, tuple) else (windows,) * 2
    tables = [
        stage.blocks[1].attn.bias.relative_position_bias_table.shape[0]
        for stage in MODELS.build(found).stages
    ]
    assert tables == [(2 * size - 1) ** 2 for size in sizes]


def test_checkpointing_and_small_maps_of_a_stage_count_too():
    stage = dict(with_cp=True, pad_small_map=True)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert ours(dict(SWIN, arch=PARTS, out_indices=(1,), stage_cfgs=stage))['with_cp']
    with pytest.warns(UserWarning, match='pad_small_map is False: .* not shifted in mmpretrain'):
        assert not ours(dict(SWIN, arch=PARTS, out_indices=(1,)))['with_cp']


@pytest.mark.parametrize(
    'stages',
    [
        dict(block_cfgs=dict(ffn_ratio=3)),
        dict(block_cfgs=[dict(window_size=7), dict(window_size=8)]),
        dict(downsample_cfg=dict(use_post_norm=True)),
        dict(block_cfgs=dict(attn_cfgs=dict(qkv_bias=False))),
        dict(block_cfgs=dict(num_heads=4)),
        dict(block_cfgs=[dict(window_size=7)]),
        [dict(window_size=7)],
    ],
)
def test_stages_that_ours_cannot_be_are_named(stages):
    with pytest.raises(
        ValueError, match=r'backbone.stage_cfgs is .*; .* takes window_size from it'
    ):
        ours(dict(SWIN, arch=PARTS, stage_cfgs=stages))


def test_swin_v2_of_mmpretrain():
    arch = dict(PARTS, extra_norm_every_n_blocks=2)
    backbone = dict(type='SwinTransformerV2', arch=arch, window_size=[8, 4], out_indices=(0, 1))
    backbone |= dict(frozen_stages=0, pretrained_window_sizes=[6, 0], img_size=256)
    with pytest.warns(UserWarning, match='backbone gives the same maps where') as caught:
        found = ours(backbone)
    assert len(caught) == 1  # a downsampling belongs to the next stage there as well
    assert found == dict(
        type='mmbackbones.SwinTransformerV2',
        arch=dict(dims=(16, 32), depths=(2, 2), heads=(1, 2), norm_every=2),
        in_channels=3,
        drop_path_rate=0.1,
        window_size=(8, 4),
        pretrained_window_size=(6, 4),
        with_cp=False,
        out_indices=(0, 1),
        frozen_stages=1,
    )
    assert ours(dict(type='mmcls.SwinTransformerV2', arch='h'))['arch'] == 'huge'
    with pytest.warns(UserWarning, match='whole windows, more than one, and others elsewhere'):
        ours(dict(backbone, pad_small_map=True))
    with pytest.raises(ValueError, match='has embed_dim, which no SwinTransformerV2 of mmpretrain'):
        ours(dict(type='SwinTransformerV2', embed_dim=96))


# Every 5th part of the maps of mmpretrain 1.2.0 for `filled` tensors and a picture like them.
RECORDED = [
    (
        CLASSIFIER,
        dict(
            SWIN,
            arch=PARTS,
            stage_cfgs=[dict(block_cfgs=dict(window_size=5)), dict(window_size=4)],
            pad_small_map=True,
        ),
        [
            [0.84716, 1.02253, 1.21266, 0.84953, 0.79812],
            [1.0169, 1.33093, 0.13196, 0.8681, 0.79104],
        ],
    ),
    (
        CLASSIFIER_V2,
        dict(
            type='SwinTransformerV2',
            arch=dict(PARTS, extra_norm_every_n_blocks=2),
            window_size=[8, 4],
            pretrained_window_sizes=[4, 0],
        ),
        [
            [0.56303, 0.98229, 0.84243, -0.24765, 0.22546],
            [0.45123, 0.96965, -1.33189, 0.1614, 0.96773],
        ],
    ),
]


def filled(shape, step, start):
    """Numbers that every PyTorch makes alike."""
    count = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(count * step + start).float().view(shape)


@pytest.mark.filterwarnings('ignore:model.backbone gives the same maps')
@pytest.mark.parametrize(('family', 'backbone', 'wanted'), RECORDED, ids=['stages', 'v2'])
def test_the_maps_are_those_of_mmpretrain(family, backbone, wanted):
    cfg = ours(dict(backbone, out_indices=(0, 1)))
    net = MODELS.build(cfg).eval()
    shapes = {name: tensor.shape for name, tensor in net.named_parameters()}
    names = dict(pair[::-1] for pair in tensor_names('x', cfg, family))
    names = {name: names[f'x.{name}'].removeprefix('x.') for name in shapes}
    state = {
        names[name]: filled(shape, 1.7, len(names[name])) * 0.3 + 0.5 * (len(shape) == 1)
        for name, shape in shapes.items()
    }
    net.load_state_dict(state, strict=True)
    with torch.no_grad():
        maps = net(filled((1, 3, 64, 96), 0.37, 0))
    found = torch.stack([x.flatten()[:: x.numel() // 5][:5] for x in maps])
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=0, atol=1e-4)


@pytest.mark.parametrize('scope', ['mmdet', 'mmpretrain'])
def test_official_and_mmpretrains_arguments_give_mmdets_maps(scope):
    numbers = {key: DIMS[key] for key in ('embed_dims', 'depths', 'num_heads')}
    official = dict(embed_dim=16, depths=numbers['depths'], num_heads=numbers['num_heads'])
    stages = dict(block_cfgs=dict(window_size=4))
    args = dict(official, window_size=4, ape=False)
    if scope == 'mmpretrain':
        args = dict(arch=numbers, stage_cfgs=stages, out_indices=(0, 1, 2, 3), pad_small_map=True)
    old, new = theirs('mmdet', DIMS), MODELS.build(ours(dict(SWIN, **args), scope))
    new.load_state_dict(old.state_dict(), strict=True)
    image = torch.rand(1, 3, 50, 70)
    old.eval()
    with torch.no_grad():
        for found, wanted in zip(new.eval()(image), old(image), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


# As its files name the tensors of V2 (mmpretrain 1.2.0), and as the loader renames them.
V2_NAMES = {
    'patch_embed.projection.weight': 'stem.proj.weight',
    'patch_embed.norm.bias': 'stem.norm.bias',
    'stages.0.blocks.1.norm3.weight': 'stages.0.blocks.1.norm3.weight',
    'stages.1.downsample.reduction.weight': 'stages.1.downsample.reduction.weight',
    'stages.1.blocks.0.attn.w_msa.q_bias': 'stages.1.blocks.0.attn.q_bias',
    'stages.1.blocks.0.attn.w_msa.cpb_mlp.0.bias': 'stages.1.blocks.0.attn.bias.cpb_mlp.0.bias',
    'stages.1.blocks.0.ffn.layers.1.bias': 'stages.1.blocks.0.mlp.fc2.bias',
}


@pytest.mark.parametrize('rules', RULES, ids=['none', 'norms', 'flat'])
def test_rates_and_decays_of_v2(rules):
    arch = dict(PARTS, extra_norm_every_n_blocks=2)
    cfg = dict(model=dict(backbone=dict(type='SwinTransformerV2', arch=arch, out_indices=(0, 1))))
    keys = {'w_msa': SLOW, 'patch_embed': STILL, 'cpb_mlp.0': dict(lr_mult=0.3), 'norm3': SLOW}
    paramwise = dict(custom_keys=keys, **rules)
    cfg['optim_wrapper'] = dict(optimizer=dict(type='AdamW', lr=1.0, weight_decay=1.0))
    cfg['optim_wrapper']['paramwise_cfg'] = paramwise
    new = convert_config(cfg)
    model = Model(MODELS.build(new['model']['backbone']))
    after = settings(model, new)
    pairs = tensor_names('backbone', new['model']['backbone'], CLASSIFIER_V2)
    for old, name in V2_NAMES.items():
        assert (f'backbone.{old}', f'backbone.{name}') in pairs
    assert {name for _, name in pairs} == {name for name in after if name.startswith('backbone.')}
    flat = rules.get('flat_decay_mult', 1)
    wanted = {
        'patch_embed.projection.weight': (1.0, 0.0),
        'patch_embed.norm.bias': (1.0, 0.0),
        'stages.0.blocks.1.norm3.weight': (0.1, 0.0),
        'stages.1.downsample.reduction.weight': (1.0, 1.0),
        'stages.1.blocks.0.attn.w_msa.q_bias': (0.1, 0.0),
        'stages.1.blocks.0.attn.w_msa.cpb_mlp.0.bias': (0.3, 1.0),
        'stages.1.blocks.0.ffn.layers.1.bias': (rules.get('bias_lr_mult', 1.0), flat),
    }
    assert {name: after[f'backbone.{V2_NAMES[name]}'] for name in wanted} == wanted


@pytest.mark.parametrize(
    ('kind', 'scope', 'args'),
    [
        ('mmdet.SwinTransformer', 'mmrotate', {}),
        ('mmdet.SwinTransformer', 'mmdet3d', dict(convert_weights=True)),
        ('SwinTransformer', 'mmpose', {}),
        ('SwinTransformer', 'opencd', dict(pretrain_style='official')),
        ('SwinTransformer', 'mypackage', {}),
        ('mmpose.models.SwinTransformer', None, {}),
        ('mmseg.SwinTransformer', 'mmyolo', {}),
    ],
)
def test_sisters_have_mmdets_swin(kind, scope, args):
    found = ours(dict(DIMS, type=kind, **args), scope)
    assert (found['arch'], found['out_indices']) == (OURS['arch'], (0, 1, 2, 3))


@pytest.mark.parametrize(
    ('kind', 'scope', 'args'),
    [
        ('mmcls.SwinTransformer', 'mmselfsup', {}),
        ('mmcls.SwinTransformer', 'mmaction', dict(arch='tiny', img_size=224)),
        ('SwinTransformer', 'mmdet', dict(arch='t')),
        ('SwinTransformer', None, dict(arch='T', auto_pad=True)),
        ('SwinTransformer', 'mmselfsup', {}),
    ],
)
def test_sisters_have_mmpretrains_swin(kind, scope, args):
    found = ours(dict(type=kind, **args), scope)
    assert (found['arch'], found['out_indices']) == ('tiny', (3,))


def test_a_base_of_mmpretrain_says_no_scope():
    base = dict(model=dict(type='ImageClassifier', backbone=SWIN))
    assert convert_config(base)['model']['backbone']['out_indices'] == (3,)


def test_the_official_arguments():
    found = ours(dict(OFFICIAL, use_checkpoint=True, in_chans=4, patch_norm=True), None)
    assert found == dict(
        type='mmbackbones.SwinTransformer',
        arch=dict(dims=(16, 32), depths=(2, 1), heads=(1, 2)),
        in_channels=4,
        drop_path_rate=0.2,  # other than mmdet's
        window_size=7,
        with_cp=True,
        out_indices=(0, 1),
        frozen_stages=-1,
    )
    for frozen, stages in ((0, 0), (1, 0)):
        assert ours(dict(OFFICIAL, frozen_stages=frozen))['frozen_stages'] == stages
    with pytest.warns(UserWarning, match='freezes 1 stages .* output norms train there'):
        assert ours(dict(OFFICIAL, frozen_stages=2))['frozen_stages'] == 1
    with pytest.raises(ValueError, match=r'backbone.ape is True, and .* has False alone'):
        ours(dict(OFFICIAL, ape=True))


OLD_OPTIMIZER = dict(type='AdamW', lr=1.0, weight_decay=1.0)


def old_config(backbone, keys):
    """A config of 2.x."""
    optimizer = dict(OLD_OPTIMIZER, paramwise_cfg=dict(custom_keys=keys))
    model = dict(type='MaskRCNN', pretrained='swin.pth', backbone=backbone)
    return dict(model=model, optimizer=optimizer, data=dict(samples_per_gpu=2), total_epochs=12)


def old_settings(backbone, keys):
    """{name: (learning rate, weight decay)} of a model with a backbone."""
    wrapper = dict(optimizer=OLD_OPTIMIZER, paramwise_cfg=dict(custom_keys=keys))
    return settings(Model(backbone), dict(optim_wrapper=wrapper))


@pytest.mark.parametrize('keys', [RECIPE, *CUSTOM[1:]], ids=['recipe', 'norms', 'stages', 'parts'])
def test_a_config_of_2x_has_its_rates_and_decays(keys):
    with pytest.warns(UserWarning, match='2.x config: .* migrate that as https://mmengine'):
        new = convert_config(old_config(dict(SWIN, **DIMS), copy.deepcopy(keys)))
    assert new['model']['backbone']['init_cfg']['checkpoint'] == 'swin.pth'
    assert 'pretrained' not in new['model']
    assert new['data'] == dict(samples_per_gpu=2)
    model = MODELS.build(new['model']['backbone'] | dict(init_cfg=None))
    before = old_settings(theirs('mmdet', DIMS), keys)
    after = old_settings(model, new['optimizer']['paramwise_cfg']['custom_keys'])
    assert {our_name(name): value for name, value in before.items()} == after


@pytest.mark.parametrize(
    ('keys', 'wanted'),
    [
        (
            {'absolute_pos_embed': STILL, 'relative_position_bias_table': STILL, 'norm': STILL},
            {'absolute_pos_embed': STILL, 'relative_position_bias_table': STILL, 'norm': STILL},
        ),
        (
            {'backbone.layers.0': SLOW, 'patch_embed': STILL},
            {
                'patch_embed': STILL,  # of the rest of the model, perhaps
                'backbone.stem': STILL,
                'backbone.stages.0': SLOW,
                'backbone.stages.1.downsample': SLOW,
            },
        ),
        ({'attn.qkv': SLOW, 'mlp.fc1': STILL}, {'attn.qkv': SLOW, 'mlp.fc1': STILL}),
    ],
)
def test_keys_with_official_names(keys, wanted):
    with pytest.warns(UserWarning, match='2.x config'):
        new = convert_config(old_config(OFFICIAL, keys))
    assert new['optimizer']['paramwise_cfg']['custom_keys'] == wanted


@pytest.mark.parametrize(
    ('backbone', 'words'),
    [
        (
            dict(type='SwinTransformerV2Cr'),
            'model.backbone is SwinTransformerV2Cr, which ours does',
        ),
        (dict(type='SwinTransformer3D'), 'model.backbone is SwinTransformer3D'),
        (dict(type='timm.swin_tiny'), 'model.backbone is timm.swin_tiny'),
        (dict(type='TIMMBackbone', model_name='swin_s3'), 'model.backbone.model_name is swin_s3'),
        (dict(type='other.SwinTransformer'), 'model.backbone is other.SwinTransformer'),
        (
            dict(OFFICIAL, type='SwinTransformerMTLoRA', use_checkpoint=True),
            'SwinTransformerMTLoRA, .* with use_abs_pos_embed for ape, embed_dims for embed_dim '
            'and with_cp for use_checkpoint',
        ),
        (dict(SWIN, arch='x'), 'backbone.arch is .x.; choose from tiny'),
        (dict(SWIN, arch=dict(depths=[2])), 'give a dict of embed_dims, depths and num_heads'),
        (dict(type='ResNet'), 'its backbone is ResNet'),
        (dict(type='mmbackbones.SwinTransformerV2'), 'model.backbone is ours already'),
        (dict(SWIN, lora=4), 'model.backbone has lora, which no SwinTransformer of mmdet takes'),
        (dict(SWIN, embed_dims=96, ape=1), 'has ape, .* there, ape is use_abs_pos_embed'),
        (
            dict(OFFICIAL, with_cp=True),
            'of the official code takes; there, with_cp is use_checkpoint',
        ),
    ],
)
def test_what_was_found_is_named(backbone, words):
    with pytest.raises(ValueError, match=words):
        ours(backbone, 'mmdet')


def test_configs_of_yacs_are_called_so():
    backbone = dict(NAME='D2SwinTransformer')
    with pytest.raises(ValueError, match=r'yacs, .*; MODEL.BACKBONE is D2SwinTransformer, which'):
        convert_config(dict(MODEL=dict(BACKBONE=backbone, SWIN=dict(EMBED_DIM=96))))


def test_a_constructor_that_may_go_by_names_is_named():
    cfg = config()
    cfg['optim_wrapper'] = dict(optimizer=OLD_OPTIMIZER, constructor='mmpretrain.LayerWise')
    with pytest.warns(UserWarning, match=r'optim_wrapper.constructor is LayerWise: if it goes by'):
        convert_config(cfg)


THEIR_CONFIGS = [
    'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py',
    'mmdet::rtmdet/rtmdet_l_swin_b_p6_4xb16-100e_coco.py',  # has five stages
    'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
]


@pytest.mark.parametrize('name', THEIR_CONFIGS)
def test_whole_models_of_theirs_fit_ours(name, linspace_on_cpu):
    """Strictly, tensor by tensor, with the same rates and decays; without memory for weights."""
    scope, file = name.split('::')
    package = pytest.importorskip(f'{scope}.models')
    root = Path(package.__file__).parent.parent
    cfg = Config.fromfile(root / '.mim/configs' / file)
    new = convert_config(cfg)
    models = []
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
        for each in (cfg, new):
            each.model.backbone.pop('init_cfg')
            models.append(ROOT_MODELS.build(each.model))
            each.optim_wrapper.type = 'OptimWrapper'  # not of mixed precision
    old, ours = models
    ours.load_state_dict(old.state_dict(), strict=True)
    before, after = settings(old, cfg), settings(ours, new)
    assert {our_name(name): value for name, value in before.items()} == after


def test_the_tool_writes_a_config_that_loads(tmp_path, monkeypatch, capsys):
    pytest.importorskip('mmdet')
    name = 'mmdet::rtmdet/rtmdet_l_swin_b_p6_4xb16-100e_coco.py'
    out = tmp_path / 'ours.py'
    monkeypatch.setattr(sys, 'argv', ['convert_config.py', name, str(out)])
    tool.main()
    assert len(Config.fromfile(out).model.backbone.arch.depths) == 5
    with pytest.raises(SystemExit):
        tool.main()
    assert 'ours.py exists; remove it, or give another name' in capsys.readouterr().err


CODE = 'import pathlib\npathlib.Path({!r}).touch()\nclass Head: pass\n'
IMPORTING = {
    'names': "custom_imports = dict(imports=['stranger'])\nmodel = dict(backbone={})\n",
    'lazy': (
        'from stranger import Head\nfrom mmdet.models import SwinTransformer\n'
        "custom_imports = dict(imports=['stranger'])\n"
        'model = dict(head=dict(type=Head), others=[Head], backbone=dict(type=SwinTransformer,'
        'norm_cfg=dict(type="LN"), init_cfg=dict(type=Head, checkpoint="a.pth")))\n'
    ),
}


@pytest.mark.parametrize('kind', IMPORTING)
def test_what_a_config_imports_does_not_run(kind, tmp_path, monkeypatch, call_tool):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'stranger.py').write_text(CODE.format(str(tmp_path / 'ran')))
    config = tmp_path / 'theirs.py'
    config.write_text(IMPORTING[kind].format(SWIN))
    for out in ('ours.py', 'ours.json'):
        code, _, said = call_tool('convert_config', config, tmp_path / out)
        assert code == 0, said
    text = (tmp_path / 'ours.py').read_text()
    assert 'mmbackbones.SwinTransformer' in text
    assert "'stranger'" in text
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (
            'from detectron2.config import LazyCall as L\nfrom detectron2.modeling import Swin\n'
            'backbone = L(Swin)(embed_dim=96)\n',
            'a config of detectron2, which calls classes; give one of mm',
        ),
        ('from a.b import f\nmodel = f(1)\n', 'a config of detectron2, which calls classes'),
        ('model = unknown\n', "cannot be read, NameError: name 'unknown' is not defined"),
        ('model = (\n', 'cannot be read, SyntaxError'),
    ],
)
def test_files_that_are_no_configs_get_a_sentence(text, words, tmp_path, call_tool):
    config = tmp_path / 'theirs.py'
    config.write_text(text)
    code, _, said = call_tool('convert_config', config, tmp_path / 'ours.py')
    assert code == 2
    assert words in said
    assert not (tmp_path / 'ours.py').exists()
