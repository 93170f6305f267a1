"""The `custom_keys` of an optimizer, for tensors that have other names now."""

import re
import warnings
from itertools import product

from .families import AUTHORS, CLASSIFIER_V2
from .finding import type_name

# They go by custom keys, or ask the backbone for the depth of its layers.
CONSTRUCTORS = (
    'None',
    'DefaultOptimWrapperConstructor',
    'DefaultOptimizerConstructor',
    'LearningRateDecayOptimWrapperConstructor',
)

LAYER = ('weight', 'bias')
NORMS = [f'{norm}.{part}' for norm, part in product(('norm1', 'norm2'), LAYER)]
MLP = [f'ffn.layers.{layer}.{part}' for layer, part in product(('0.0', '1'), LAYER)]
MM_TENSORS = dict(
    stem=('patch_embed.projection', 'patch_embed.norm'),
    stages='stages',
    block=[
        *NORMS,
        *MLP,
        *(f'attn.w_msa.{layer}.{part}' for layer, part in product(('qkv', 'proj'), LAYER)),
        'attn.w_msa.relative_position_bias_table',
    ],
)
OFFICIAL_TENSORS = dict(
    stem=('patch_embed.proj', 'patch_embed.norm'),
    stages='layers',
    block=[
        *NORMS,
        *(f'mlp.{layer}.{part}' for layer, part in product(('fc1', 'fc2'), LAYER)),
        *(f'attn.{layer}.{part}' for layer, part in product(('qkv', 'proj'), LAYER)),
        'attn.relative_position_bias_table',
    ],
)
MM_V2_TENSORS = MM_TENSORS | dict(
    block=[
        *NORMS,
        *MLP,
        *(f'attn.w_msa.proj.{part}' for part in LAYER),
        *(f'attn.w_msa.{name}' for name in ('qkv.weight', 'q_bias', 'v_bias', 'logit_scale')),
        *(f'attn.w_msa.cpb_mlp.{name}' for name in ('0.weight', '0.bias', '2.weight')),
    ],
)


def rewrite_keys(root, converted):
    """Rewrite the `custom_keys` of a config for tensors that have other names now.

    converted: (path, our arguments, family) of each that was converted.
    """
    for place in ('optim_wrapper', 'optimizer'):  # of 3.x, of 2.x
        wrapper = root.get(place) or {}
        constructor = type_name(wrapper.get('constructor')).split('.')[-1]
        if constructor not in CONSTRUCTORS:
            warnings.warn(
                f'{place}.constructor is {constructor}: if it goes by names of tensors, change it, '
                f'since they are others here',
                stacklevel=3,
            )
        rules = wrapper.get('paramwise_cfg') or {}
        keys = rules.get('custom_keys')
        pairs = {}
        for path, ours, family in converted if keys else ():
            if path[0] == 'model':
                for prefix in prefixes(path, keys):
                    pairs[prefix] = tensor_names(prefix, ours, family)
        if pairs:
            rules['custom_keys'] = translate_keys(keys, rules, pairs)


def prefixes(path, keys):
    """What the names of a backbone's tensors start with: its path, or what keys say before it.

    A model may keep it elsewhere: `detector` becomes `student` and `teacher`.
    """
    part = re.compile(rf'((?:\w+\.)*{re.escape(path[-1])})\.(?:patch_embed|stages|layers|norm)')
    return {'.'.join(path[1:]), *(match[1] for match in map(part.match, keys) if match)}


def tensor_names(prefix, ours, family):
    """(their name, our name) of each tensor that both have."""
    arch, last = ours['arch'], max(ours['out_indices'])
    arch = family.ours.archs[arch] if isinstance(arch, str) else arch
    is_v2, every = family is CLASSIFIER_V2, arch.get('norm_every')
    parts = MM_V2_TENSORS if is_v2 else MM_TENSORS
    if family is AUTHORS:
        parts = OFFICIAL_TENSORS
    names = [f'{layer}.{part}' for layer, part in product(parts['stem'], LAYER)]
    for i, depth in enumerate(arch['depths'][: last + 1]):
        stage = f'{parts["stages"]}.{i}'
        names += [f'{stage}.blocks.{j}.{name}' for j, name in product(range(depth), parts['block'])]
        normed = range(every - 1, depth, every) if every else ()
        names += [f'{stage}.blocks.{j}.norm3.{part}' for j, part in product(normed, LAYER)]
        has_downsample = i > 0 if is_v2 else i < last  # before the blocks, or after them
        if has_downsample:
            merging = ('norm.weight', 'norm.bias', 'reduction.weight')
            names += [f'{stage}.downsample.{name}' for name in merging]
    names += [f'norm{i}.{part}' for i, part in product(ours['out_indices'], LAYER)]
    return [(f'{prefix}.{name}', f'{prefix}.{family.tensors.rename(name)}') for name in names]


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
        return are_equal(settings(name, keys, rules), wanted[name])

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
    before = re.split(r'\.(?:stem|stages|norm\d)', name, maxsplit=1)[0]
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
    flat = norm or name.endswith('bias')  # also q_bias of V2
    decays = dict(norm_decay_mult=norm, bias_decay_mult=bias, flat_decay_mult=flat)
    for rule, applies in decays.items():
        if applies and rules.get(rule) is not None:
            return found | dict(decay_mult=rules[rule])
    return found


def are_equal(one, other):
    """Whether two settings mean the same; what one leaves out is 1."""
    default = dict(lr_mult=1, decay_mult=1)
    return default | one == default | other
