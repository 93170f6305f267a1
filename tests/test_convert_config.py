"""Configs of mmdet and mmseg with our Swin: the same numbers, weights, rates and decays."""

import copy
import sys
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
from mmbackbones.convert import THEIRS
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
    return name if part == name else f'backbone.{THEIRS.rename(part)}'


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
