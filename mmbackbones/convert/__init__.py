"""Configs of MMDetection, MMSegmentation and their sisters with our Swin in the place of theirs."""

import copy
import warnings

from mmengine.config import Config, ConfigDict

from .arguments import theirs_of, translate
from .families import MMDET_FORMAT
from .finding import find_swins, no_swin, plain_copy
from .optimizer import rewrite_keys

__all__ = ['MMDET_FORMAT', 'convert_config']

# What stands at the top of configs of 2.x alone, and of later ones alone.
OLD = ('optimizer', 'optimizer_config', 'lr_config', 'runner', 'checkpoint_config', 'evaluation')
NEW = ('optim_wrapper', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'default_scope')
MIGRATION = 'https://mmengine.readthedocs.io/en/latest/migration/runner.html'


def convert_config(cfg: Config) -> Config:
    """A copy of a config of mmdet or mmseg in which every Swin is ours, with the same numbers.

    Found are the `SwinTransformer` of mmdet, mmseg, mmpretrain and their sisters, that of the
    official code (`embed_dim`, `ape`, `use_checkpoint`) and mmpretrain's `SwinTransformerV2`, at
    any depth of the config. The `custom_keys` of the optimizer are rewritten, so that learning
    rates and weight decay fall on the same tensors; `custom_imports` gets this package, and is not
    run. Checkpoints stay: ours reads theirs.

    A config of 2.x stays one: its Swin and its `custom_keys` are ours afterwards, and a warning
    says where mm tells how the rest becomes one of 3.x.

    Three things differ, and warnings say so. A downsampling of V1 belongs to the stage before it in
    theirs and to the stage after it in ours, so that `frozen_stages=k` no longer freezes the one
    that follows stage k. Unless `pad_small_map`, mmpretrain does not shift windows on maps as small
    as a window. And padding, which V2 of mmpretrain sees, is hidden in ours.

    Args:
        cfg: An mmengine `Config`, or a dict.

    Returns:
        The same kind of thing.

    Raises:
        ValueError: There is no such Swin, or one has an argument that ours has no counterpart for.
    """
    # The public methods of a config import what new-style configs name. If the dict moves, no
    # config can be converted.
    root = plain_copy(cfg._cfg_dict if isinstance(cfg, Config) else cfg)
    places = list(find_swins(root, (), root.get('default_scope')))
    if not places:
        raise ValueError(no_swin(root))
    old = any(key in root for key in OLD) and not any(key in root for key in NEW)
    found = []
    for kind, node, parent, path, scope in places:
        args = theirs_of(node, parent, path)
        ours, family = translate(kind, args, scope, '.'.join(path) or 'backbone')
        if old and isinstance(parent, dict):
            parent.pop('pretrained', None)  # which detectors of 3.x do not take
        node.clear()
        node.update(ours)
        found.append((path, ours, family))
    rewrite_keys(root, found)
    if 'type' not in root:
        add_import(root)
    if old:
        warnings.warn(
            'this is a 2.x config: its Swin and its custom_keys are converted, and all else is '
            f'still of 2.x, which mmengine does not run; migrate that as {MIGRATION} says',
            stacklevel=2,
        )
    if not isinstance(cfg, Config):
        return type(cfg)(root)
    new = copy.copy(cfg)
    vars(new)['_cfg_dict'] = ConfigDict(root)
    return new


def add_import(root):
    """Let a config import this package."""
    known = root.get('custom_imports') or dict(allow_failed_imports=False)
    names = known.get('imports') or []
    names = [names] if isinstance(names, str) else list(names)
    if 'mmbackbones' not in names:
        names.append('mmbackbones')
    root['custom_imports'] = dict(known, imports=names)
