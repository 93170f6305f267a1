"""Our arguments for those of a Swin of others; an error for what ours has no counterpart for."""

import warnings

from .families import (
    AUTHORS,
    CLASSIFIER,
    CLASSIFIER_V2,
    COUNTERPARTS,
    FIXED,
    LAYERS,
    family_of,
)
from .finding import listed, type_name

SHARED = ('in_channels', 'drop_path_rate')  # they mean the same
CLASSIFIERS = (CLASSIFIER, CLASSIFIER_V2)
DEFAULTS_OF_BLOCKS = dict(ffn_ratio=4)
PER_BLOCK = ('window_size', 'with_cp', 'pad_small_map')


def theirs_of(node, parent, path):
    """The arguments of a Swin; its `pretrained` is taken from a segmentor of mmseg that has it."""
    args = {key: value for key, value in node.items() if key not in ('type', '_scope_')}
    inside = isinstance(parent, dict) and path[-1] == 'backbone'
    if inside and isinstance(parent.get('pretrained'), str):
        args['pretrained'], parent['pretrained'] = parent['pretrained'], None
    return args


def translate(kind, args, scope, path):
    """(our arguments, the family) for the arguments of a Swin of theirs."""
    family = family_of(kind, args, scope)
    label = scope if scope in ('mmseg', 'mmpose') and family.name == 'mmdet' else family.name
    unknown = [name for name in args if name not in family.arguments]
    if unknown:
        known = COUNTERPARTS
        if family is AUTHORS:
            known = {name: official for official, name in known.items()}
        renamed = listed([f'{name} is {known[name]}' for name in unknown if name in known])
        hint = f'; there, {renamed}' if renamed and family is not CLASSIFIER_V2 else ''
        raise ValueError(f'{path} has {", ".join(unknown)}, which no {kind} of {label} takes{hint}')
    theirs = family.arguments | args
    check(theirs, family, label, path)
    numbers = theirs
    if family in CLASSIFIERS:
        numbers = their_arch(theirs['arch'], family, path)
    depths = tuple(numbers['depths'])
    ours = dict(type=f'mmbackbones.{kind}', arch=our_arch(numbers, depths, family))
    ours |= {name: family.value(theirs, name) for name in SHARED}
    ours |= blocks(theirs, depths, family, path)
    ours['out_indices'] = tuple(sorted(theirs['out_indices']))
    ours['frozen_stages'] = frozen_stages(theirs['frozen_stages'], len(depths), family, label, path)
    if 'norm_eval' in args:
        ours['norm_eval'] = args['norm_eval']
    weights = init_cfg(theirs, path)
    return ours | (dict(init_cfg=weights) if weights else {}), family


def check(theirs, family, label, path):
    """A `ValueError` for the first argument with a value that ours does not have."""
    wanted = family.arguments
    if 'strides' in theirs:
        wanted = wanted | dict(strides=(4, *[2] * (len(theirs['depths']) - 1)))
        theirs = theirs | dict(strides=tuple(theirs['strides'][: len(theirs['depths'])]))
    for name in wanted:
        value = theirs[name]
        if name == 'patch_size' and not isinstance(value, int) and len(set(value)) == 1:
            value = value[0]
        if (name in FIXED and value != wanted[name]) or (
            name in LAYERS and not is_known_layer(value, LAYERS[name])
        ):
            raise ValueError(
                f'{path}.{name} is {theirs[name]!r}, and mmbackbones.{family.ours.__name__} has '
                f'{wanted[name]!r} alone; change it, or keep the backbone of {label}'
            )


def is_known_layer(layer, choices):
    """Whether the config of a layer, or its type, says nothing but what is among the choices."""
    layer = dict(layer) if isinstance(layer, dict) else dict(type=layer)
    layer['type'] = type_name(layer.get('type')).split('.')[-1]
    return all(value in choices.get(key, ()) for key, value in layer.items())


def their_arch(arch, family, path):
    """The numbers of an arch of mmpretrain, which has one-letter names as well, or a dict."""
    if isinstance(arch, dict) and arch.keys() >= {'embed_dims', 'depths', 'num_heads'}:
        return arch
    archs = family.ours.archs
    found = [name for name in archs if str(arch).lower() in (name, name[0])]
    if not found:
        raise ValueError(
            f'{path}.arch is {arch!r}; choose from {", ".join(archs)}, '
            f'or give a dict of embed_dims, depths and num_heads'
        )
    numbers = archs[found[0]]
    every = numbers.get('norm_every')
    return dict(
        embed_dims=numbers['dims'][0],
        depths=numbers['depths'],
        num_heads=numbers['heads'],
        extra_norm_every_n_blocks=every,
    )


def our_arch(numbers, depths, family):
    """The name of a published size, or the numbers of another one."""
    dim = family.value(numbers, 'embed_dims')
    own = dict(
        dims=tuple(dim * 2**i for i in range(len(depths))),
        depths=depths,
        heads=tuple(numbers['num_heads'][: len(depths)]),
    )
    if family is CLASSIFIER_V2:
        own['norm_every'] = numbers.get('extra_norm_every_n_blocks') or None
    return next((name for name, known in family.ours.archs.items() if known == own), own)


def blocks(theirs, depths, family, path):
    """Windows and checkpointing, which mmpretrain takes for a net, a stage or a block."""
    if family not in CLASSIFIERS:
        return {name: family.value(theirs, name) for name in ('window_size', 'with_cp')}
    given = theirs['stage_cfgs']
    found = their_blocks(theirs, depths)
    windows = [{block['window_size'] for block in stage} for stage in found]
    settings = [item for stage in found for block in stage for item in block.items()]
    are_ours = all(
        key in PER_BLOCK or value in ({}, DEFAULTS_OF_BLOCKS.get(key)) for key, value in settings
    )
    are_complete = [len(stage) for stage in found] == list(depths)
    if not are_ours or not are_complete or any(len(sizes) > 1 for sizes in windows):
        raise ValueError(
            f'{path}.stage_cfgs is {given!r}; mmbackbones.{family.ours.__name__} takes window_size '
            f'from it, one for each stage; change it, or keep the backbone of mmpretrain'
        )
    every = [block for stage in found for block in stage]
    warn_of_maps(all(block['pad_small_map'] for block in every), family, path)
    sizes = tuple(size for (size,) in windows)
    ours = dict(window_size=sizes[0] if len(set(sizes)) == 1 else sizes)
    if family is CLASSIFIER_V2 and any(theirs['pretrained_window_sizes']):
        pairs = zip(theirs['pretrained_window_sizes'], sizes, strict=True)
        ours['pretrained_window_size'] = tuple(trained or size for trained, size in pairs)
    return ours | dict(with_cp=any(block['with_cp'] for block in every))


def their_blocks(theirs, depths):
    """What mmpretrain's Swin is told of each block of each stage."""
    found = []
    stages = each_of(theirs['stage_cfgs'] or {}, len(depths))
    windows = each_of(theirs['window_size'], len(depths))
    for window, stage, depth in zip(windows, stages, depths, strict=False):
        common = {name: theirs[name] for name in PER_BLOCK} | dict(window_size=window) | stage
        configs = each_of(common.pop('block_cfgs', {}), depth)
        found.append([common | block for block in configs])
    return found


def each_of(value, count):
    """A list with a value for each, of one for all or of one for each."""
    return list(value)[:count] if isinstance(value, (list, tuple)) else [value] * count


def warn_of_maps(pads, family, path):
    """Say which maps are computed in another way here than in mmpretrain."""
    sentence = None
    if family is CLASSIFIER_V2:
        least = ', more than one,' if pads else ''
        sentence = (
            f'{path} gives the same maps where they are whole windows{least} and others elsewhere: '
            f'padding is seen in mmpretrain and hidden here'
        )
    elif not pads:
        sentence = (
            f'{path}.pad_small_map is False: windows of a map as small as a window are not shifted '
            f'in mmpretrain, and are here'
        )
    if sentence:
        warnings.warn(sentence, stacklevel=5)


def frozen_stages(frozen, stages, family, label, path):
    """How many stages are frozen, as we count.

    mmpretrain's 0 freezes the first stage, the official 1 the stem alone.
    """
    if family in CLASSIFIERS and frozen >= 0:
        frozen += 1
    if family is AUTHORS and frozen > 0:
        frozen -= 1
    if frozen > 0 and (frozen < stages or family is AUTHORS) and family is not CLASSIFIER_V2:
        norms = '; output norms train there and are frozen here' if family is AUTHORS else ''
        warnings.warn(
            f'{path}.frozen_stages freezes {frozen} stages and in {label} also the downsampling '
            f'after them, which is part of the next stage here and trains{norms}',
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
