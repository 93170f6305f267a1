"""Where the Swins of a config are; nothing that a config names is imported."""

import copy

from mmengine.config.lazy import LazyAttr, LazyObject

from .families import COUNTERPARTS, FAMILIES, SCOPES

NAMES = ('type', 'TYPE', 'NAME', 'name', 'backbone', 'model_name')


def plain_copy(node):
    """A copy of a config in plain dicts, in which what new-style configs name stays a name.

    A `ConfigDict` would import it, by most of its methods.
    """
    if isinstance(node, dict):
        return {key: plain_copy(value) for key, value in dict.items(node)}
    if type(node) in (list, tuple):
        return type(node)(plain_copy(value) for value in node)
    return copy.deepcopy(node)


def find_swins(node, path, scope, parent=None):
    """(kind, dict, the dict around it, path, scope) of each Swin of theirs in a config."""
    for key, value in entries(node):
        yield from find_swins(value, (*path, str(key)), scope_of(node, scope), node)
    if isinstance(node, dict):
        *modules, name = type_name(node.get('type')).split('.')
        if name in FAMILIES and (not modules or modules[0] in SCOPES):
            scope = modules[0] if modules else scope_of(node, scope)
            yield name, node, parent, path, scope


def entries(node):
    """(key or index, value) of what a node holds."""
    if isinstance(node, dict):
        return list(node.items())
    return list(enumerate(node)) if isinstance(node, (list, tuple)) else []


def scope_of(node, scope):
    """The scope that names below a node are looked up in, `scope` if it does not say."""
    if not isinstance(node, dict):
        return scope
    if isinstance(node.get('type'), str) and node['type'].endswith('ImageClassifier'):
        scope = scope or 'mmpretrain'  # only a base has no scope
    return node.get('_scope_', scope)


def type_name(kind):
    """The text of a type: of a name, a class, or what a new-style config will import."""
    if isinstance(kind, (LazyAttr, LazyObject)):
        return f'{kind.module}.{kind}'
    return f'{kind.__module__}.{kind.__name__}' if isinstance(kind, type) else str(kind)


def no_swin(root):
    """The sentence for a config without a Swin that ours replaces: it names what it has."""
    sentence = 'the config has no SwinTransformer of mmdet, mmseg or mmpretrain; '
    if 'MODEL' in root:
        sentence += 'it is one of yacs, as detectron2 and the official classifier have; '
    found = list(other_swins(root, ()))
    if not found:
        backbone = next(backbones(root), None)
        return sentence + (f'its backbone is {backbone}' if backbone else 'give one that has')
    known = [path for path, name, _ in found if name.startswith('mmbackbones.')]
    if known:
        return sentence + f'{known[0]} is ours already'
    places = {path: name for path, name, _ in reversed(found)}
    named = [f'{path} is {places[path]}' for path in reversed(places)]
    sentence += f'{listed(named[:3])}, which ours does not replace'
    official = {key for *_, node in found for key in node if key in COUNTERPARTS}
    if official:
        renamed = listed([f'{COUNTERPARTS[key]} for {key}' for key in sorted(official)])
        sentence += f'; if it is a plain Swin, give it the type SwinTransformer, with {renamed}'
    return sentence


def listed(words):
    """'a, b and c'."""
    return ' and '.join([', '.join(words[:-1]), words[-1]] if words[1:] else words)


def other_swins(node, path):
    """(path, name, the dict) of what a config calls a Swin as no family of ours does."""
    for key, value in entries(node):
        name = type_name(value)
        if key in NAMES and 'swin' in name.lower() and not entries(value) and '/' not in name:
            whole = key in ('type', 'TYPE', 'NAME') and path
            yield '.'.join(path if whole else (*path, str(key))), name, node
        yield from other_swins(value, (*path, str(key)))


def backbones(node):
    """The types of all backbones in a config."""
    for key, value in entries(node):
        if 'backbone' in str(key) and isinstance(value, dict) and 'type' in value:
            yield type_name(value['type'])
        yield from backbones(value)
