"""Configs of MMDetection and MMSegmentation with our Swin in the place of theirs."""

import copy
import re
import warnings

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject

from .models import SwinTransformer
from .weights.swin import FORMATS

# What they take, and what it is if a config does not say. Those of mmdet and mmseg agree.
DENSE = dict(
    pretrain_img_size=224,
    in_channels=3,
    embed_dims=96,
    patch_size=4,
    window_size=7,
    mlp_ratio=4,
    depths=(2, 2, 6, 2),
    num_heads=(3, 6, 12, 24),
    strides=(4, 2, 2, 2),
    out_indices=(0, 1, 2, 3),
    qkv_bias=True,
    qk_scale=None,
    patch_norm=True,
    drop_rate=0,
    attn_drop_rate=0,
    drop_path_rate=0.1,
    use_abs_pos_embed=False,
    act_cfg=dict(type='GELU'),
    norm_cfg=dict(type='LN'),
    with_cp=False,
    pretrained=None,
    convert_weights=False,
    frozen_stages=-1,
    init_cfg=None,
)
MMPRETRAIN = dict(
    arch='tiny',
    img_size=224,
    patch_size=4,
    in_channels=3,
    window_size=7,
    drop_rate=0,
    drop_path_rate=0.1,
    out_indices=(3,),
    out_after_downsample=False,
    use_abs_pos_embed=False,
    interpolate_mode='bicubic',
    with_cp=False,
    frozen_stages=-1,
    norm_eval=False,
    pad_small_map=False,
    norm_cfg=dict(type='LN'),
    stage_cfgs=dict(),
    patch_cfg=dict(),
    init_cfg=None,
)
DEFAULTS = dict(mmdet=DENSE, mmseg=DENSE, mmpretrain=MMPRETRAIN)
# Arguments that ours lacks: they must be as above, and layers of these types.
FIXED = (
    'patch_size',
    'mlp_ratio',
    'qkv_bias',
    'qk_scale',
    'patch_norm',
    'drop_rate',
    'attn_drop_rate',
    'use_abs_pos_embed',
    'out_after_downsample',
    'stage_cfgs',
    'patch_cfg',
)
LAYERS = dict(
    act_cfg=dict(type=('GELU',)),
    norm_cfg=dict(type=('LN', 'LayerNorm'), eps=(1e-5,), requires_grad=(True,)),
)
SHARED = ('window_size', 'in_channels', 'drop_path_rate', 'with_cp')  # they mean the same

BLOCK = ('norm1', 'attn.w_msa.qkv', 'attn.w_msa.proj', 'norm2', 'ffn.layers.0.0', 'ffn.layers.1')
THEIRS = next(form for form in FORMATS if form.name == 'mmdet or mmseg')


def convert_config(cfg: Config) -> Config:
    """A copy of a config of mmdet or mmseg in which every Swin is ours, with the same numbers.

    Found are the `SwinTransformer` of mmdet, mmseg and mmpretrain at any depth of the config. The
    `custom_keys` of the optimizer are rewritten, so that learning rates and weight decay fall on
    the same tensors; `custom_imports` gets this package. Checkpoints stay: ours reads theirs.

    Two things differ. A downsampling belongs to the stage before it in theirs and to the stage
    after it in ours, so that `frozen_stages=k` no longer freezes the one that follows stage k; a
    warning says so. And mmpretrain does not shift windows on maps as small as a window.

    Args:
        cfg: An mmengine `Config`, or a dict.

    Returns:
        The same kind of thing.

    Raises:
        ValueError: There is no such Swin, or one has an argument that ours has no counterpart for.
    """
    cfg = copy.deepcopy(cfg)
    root = cfg._cfg_dict if isinstance(cfg, Config) else cfg
    places = list(swins(root, (), root.get('default_scope')))
    if not places:
        raise ValueError(
            'the config has no SwinTransformer of mmdet, mmseg or mmpretrain; give one that has'
        )
    converted = {}
    for node, parent, path, scope in places:
        if id(node) not in converted:
            args = theirs_of(node, parent, path)
            converted[id(node)] = translate(args, scope, '.'.join(path) or 'backbone')
    for node, *_ in places:
        node.clear()
        node.update(converted[id(node)])
    rewrite_keys(root, [(path, converted[id(node)]) for node, _, path, _ in places])
    if 'type' not in root:
        add_import(root)
    return cfg


def swins(node, path, scope, parent=None):
    """(dict, the dict around it, path, scope) of each Swin of theirs in a config."""
    if isinstance(node, (list, tuple)):
        for i, each in enumerate(node):
            yield from swins(each, (*path, str(i)), scope)
    if not isinstance(node, dict):
        return
    scope = dict.get(node, '_scope_', scope)
    *modules, name = type_name(dict.get(node, 'type')).split('.')
    if name == 'SwinTransformer' and (not modules or modules[0] in DEFAULTS):
        scope = modules[0] if modules else scope
        yield node, parent, path, scope if scope in DEFAULTS else 'mmdet'
        return
    for key, value in dict.items(node):  # its own method would import what new-style configs name
        yield from swins(value, (*path, str(key)), scope, node)


def type_name(kind):
    """The text of a type: of a name, a class, or what a new-style config will import."""
    if isinstance(kind, (LazyAttr, LazyObject)):
        return f'{kind.module}.{kind}'
    return f'{kind.__module__}.{kind.__name__}' if isinstance(kind, type) else str(kind)


def theirs_of(node, parent, path):
    """The arguments of a Swin; its `pretrained` is taken from a segmentor of mmseg that has it."""
    args = {key: value for key, value in dict.items(node) if key not in ('type', '_scope_')}
    if parent and path[-1] == 'backbone' and isinstance(parent.get('pretrained'), str):
        args['pretrained'], parent['pretrained'] = parent['pretrained'], None
    return args


def translate(args, scope, path):
    """Our arguments for those of a Swin of theirs; a `ValueError` names what has no counterpart."""
    unknown = ', '.join(args.keys() - DEFAULTS[scope].keys())
    if unknown:
        raise ValueError(f'{path} has {unknown}, which no SwinTransformer of {scope} takes')
    theirs = DEFAULTS[scope] | args
    check(theirs, scope, path)
    numbers = theirs
    if scope == 'mmpretrain':
        numbers = their_arch(theirs['arch'], path)
    depths = tuple(numbers['depths'])
    own = dict(
        dims=tuple(numbers['embed_dims'] * 2**i for i in range(len(depths))),
        depths=depths,
        heads=tuple(numbers['num_heads'][: len(depths)]),
    )
    arch = next((name for name, known in SwinTransformer.archs.items() if known == own), own)
    ours = dict(type='mmbackbones.SwinTransformer', arch=arch)
    ours |= {name: theirs[name] for name in SHARED}
    ours['out_indices'] = tuple(sorted(theirs['out_indices']))
    ours['frozen_stages'] = frozen_stages(theirs['frozen_stages'], len(depths), scope, path)
    if 'norm_eval' in args:
        ours['norm_eval'] = args['norm_eval']
    weights = init_cfg(theirs, path)
    return ours | (dict(init_cfg=weights) if weights else {})


def check(theirs, scope, path):
    """A `ValueError` for the first argument with a value that ours does not have."""
    wanted = DEFAULTS[scope]
    if 'strides' in theirs:
        wanted = wanted | dict(strides=(4, *[2] * (len(theirs['depths']) - 1)))
        theirs = theirs | dict(strides=tuple(theirs['strides'][: len(theirs['depths'])]))
    for name in wanted:
        value = theirs[name]
        if name == 'patch_size' and not isinstance(value, int) and len(set(value)) == 1:
            value = value[0]
        if (name in (*FIXED, 'strides') and value != wanted[name]) or (
            name in LAYERS and not fits(value, LAYERS[name])
        ):
            raise ValueError(
                f'{path}.{name} is {theirs[name]!r}, and mmbackbones.SwinTransformer has '
                f'{wanted[name]!r} alone; change it, or keep the backbone of {scope}'
            )


def fits(layer, choices):
    """Whether the config of a layer says nothing but what is among the choices."""
    layer = dict(layer or {})
    layer['type'] = type_name(layer.get('type')).split('.')[-1]
    return all(value in choices.get(key, ()) for key, value in layer.items())


def their_arch(arch, path):
    """The numbers of an arch of mmpretrain, which has one-letter names as well, or a dict."""
    if isinstance(arch, dict):
        return arch
    found = [name for name in SwinTransformer.archs if str(arch).lower() in (name, name[0])]
    if not found:
        raise ValueError(
            f'{path}.arch is {arch!r}; choose from {", ".join(SwinTransformer.archs)}, '
            f'or give a dict of embed_dims, depths and num_heads'
        )
    numbers = SwinTransformer.archs[found[0]]
    return dict(embed_dims=numbers['dims'][0], depths=numbers['depths'], num_heads=numbers['heads'])


def frozen_stages(frozen, stages, scope, path):
    """How many stages are frozen, as we count; mmpretrain's 0 freezes the first one as well."""
    if scope == 'mmpretrain' and frozen >= 0:
        frozen += 1
    if 0 < frozen < stages:
        warnings.warn(
            f'{path}.frozen_stages freezes {frozen} stages and in {scope} also the downsampling '
            f'after them, which is part of the next stage here and trains',
            stacklevel=4,
        )
    return frozen


def init_cfg(theirs, path):
    """Where the weights come from: a dict with a `checkpoint`, or what the config says else."""
    source, given = theirs.get('pretrained'), theirs['init_cfg']
    if source and given:
        raise ValueError(f'{path} has both pretrained and init_cfg; remove pretrained')
    if source:
        return dict(type='Pretrained', checkpoint=source)
    if isinstance(given, dict) and 'checkpoint' in given:
        return dict(given, type='Pretrained')
    return given


def add_import(root):
    """Let a config import this package."""
    known = dict(root.get('custom_imports') or dict(allow_failed_imports=False))
    names = known.get('imports') or []
    names = [names] if isinstance(names, str) else list(names)
    if 'mmbackbones' not in names:
        names.append('mmbackbones')
    root['custom_imports'] = dict(known, imports=names)


def rewrite_keys(root, swins):
    """Rewrite the `custom_keys` of a config for tensors that have other names now.

    swins: (path, our arguments) of each that was converted.
    """
    rules = (root.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    keys = rules.get('custom_keys')
    if not keys:
        return
    pairs = {}
    for path, ours in swins:
        if path[0] == 'model':
            for prefix in prefixes(path, keys):
                pairs[prefix] = tensor_names(prefix, ours)
    keys = {key: dict(value) for key, value in keys.items()}
    rules['custom_keys'] = translate_keys(keys, rules, pairs)


def prefixes(path, keys):
    """What the names of a backbone's tensors start with: its path, or what keys say before it.

    A model may keep it elsewhere: `detector` becomes `student` and `teacher`.
    """
    part = re.compile(rf'((?:\w+\.)*{re.escape(path[-1])})\.(?:patch_embed|stages|norm)')
    return {'.'.join(path[1:]), *(match[1] for match in map(part.match, keys) if match)}


def tensor_names(prefix, ours):
    """(their name, our name) of each tensor that both have."""
    arch, last = ours['arch'], max(ours['out_indices'])
    depths = (SwinTransformer.archs[arch] if isinstance(arch, str) else arch)['depths']
    modules = ['patch_embed.projection', 'patch_embed.norm']
    names = []
    for i, depth in enumerate(depths[: last + 1]):
        blocks = [f'stages.{i}.blocks.{j}' for j in range(depth)]
        modules += [f'{block}.{part}' for block in blocks for part in BLOCK]
        names += [f'{block}.attn.w_msa.relative_position_bias_table' for block in blocks]
        if i < last:
            modules.append(f'stages.{i}.downsample.norm')
            names.append(f'stages.{i}.downsample.reduction.weight')
    modules += [f'norm{i}' for i in ours['out_indices']]
    names += [f'{module}.{kind}' for module in modules for kind in ('weight', 'bias')]
    return [(f'{prefix}.{name}', f'{prefix}.{THEIRS.rename(name)}') for name in names]


def translate_keys(keys, rules, pairs):
    """Custom keys that give each tensor under our name what `keys` give it under theirs.

    Each tensor is looked up as mmengine does it. Where its settings are others under our name, the
    shortest key that mends it and harms no other tensor is added. Keys that are left without a
    tensor are removed; what the rest of the model may match stays.
    """
    named = tuple(f'{prefix}.' for prefix in pairs)
    pairs = [pair for prefix in sorted(pairs, key=len) for pair in pairs[prefix]]
    wanted = {ours: settings(theirs, keys, rules) for theirs, ours in pairs}

    def dead(key):
        found = any(key in theirs for theirs, _ in pairs)
        return found and key.startswith(named) and not any(key in ours for ours in wanted)

    def right(name, keys):
        return same(settings(name, keys, rules), wanted[name])

    result = {key: value for key, value in keys.items() if not dead(key)}
    for name in wanted:
        if not right(name, result):
            key = next(
                key
                for key in candidates(name)
                if key == name
                or all(right(n, result | {key: wanted[name]}) for n in wanted if key in n)
            )
            result[key] = wanted[name]
    return result


def candidates(name):
    """'a.backbone.stem.norm.weight' -> 'backbone.stem', 'backbone.stem.norm', ..., all of it."""
    before = re.match(r'(.*?)\.(?:stem|stages|norm\d)', name)[1]
    parts = name[before.rfind('.') + 1 :].split('.')
    yield from ('.'.join(parts[:count]) for count in range(2, len(parts) + 1))
    yield name


def settings(name, keys, rules):
    """What mmengine's `DefaultOptimWrapperConstructor` sets for a tensor of a Swin, by its name."""
    for key in sorted(sorted(keys), key=len, reverse=True):
        if key in name:
            return keys[key]
    norm, bias = name.split('.')[-2].startswith('norm'), name.endswith('.bias')
    found = {}
    if bias and not norm and rules.get('bias_lr_mult') is not None:
        found['lr_mult'] = rules['bias_lr_mult']
    decays = dict(norm_decay_mult=norm, bias_decay_mult=bias, flat_decay_mult=norm or bias)
    for rule, applies in decays.items():
        if applies and rules.get(rule) is not None:
            return found | dict(decay_mult=rules[rule])
    return found


def same(one, other):
    """Whether two settings of a tensor come to the same."""
    default = dict(lr_mult=1, decay_mult=1)
    return default | one == default | other
