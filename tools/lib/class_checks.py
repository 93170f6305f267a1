"""Whether loaders, heads and weights of classes agree on the classes: mm builds the model."""

from copy import deepcopy
from types import SimpleNamespace

import torch
from mmengine.registry import MODELS
from mmengine.utils import import_modules_from_strings
from torch.overrides import TorchFunctionMode

from lib.datasets import Finding, as_list, in_scope
from mmbackbones.weights.errors import shorten_list, truncate

# Heads of these packages count classes otherwise.
SISTER_SCOPES = ('mmpretrain', 'mmpose', 'mmdet3d', 'mmocr', 'mmaction')
OTHERS = {'backbone', 'reid', 'rpn_head', 'teacher_model'}  # parts with classes of their own


def class_findings(cfg, datasets):
    """Loaders with other classes than the first, and a model for another number of them."""
    if not datasets:
        return
    first, *others = datasets
    for other in others:
        if other.classes != first.classes and other.loader != first.loader:
            yield Finding(
                f'{other.loader} has {len(other.classes)} classes ({shorten_list(other.classes)}), '
                f'but {first.loader} has {len(first.classes)} ({shorten_list(first.classes)}); '
                f'give both the same metainfo'
            )
    text = first.dataset.metainfo['classes']
    if isinstance(text, str):
        yield Finding(f'the classes of {first.loader} are the text {text!r}; write ({text!r},)')
    elif cfg.get('model') and cfg.get('default_scope') in SISTER_SCOPES:
        yield from sister_findings(cfg, datasets)
    elif cfg.get('model'):
        yield from model_findings(cfg, first.dataset, first.loader)


def sister_findings(cfg, datasets):
    """Labels of a dataset that a classifier does not count, and that other heads are unknown."""
    head = cfg.model.get('head')
    count = head.get('num_classes') if isinstance(head, dict) else None
    if cfg.default_scope != 'mmpretrain' or not isinstance(count, int):
        reason = f'no check for models of {cfg.default_scope}'
        yield Finding(f'the heads of the model ({reason})', 'not looked at')
        return
    for each in datasets:
        labels = {x for entry in each.dataset.data_list for x in as_list(entry.get('gt_label', 0))}
        found, names = max(labels, default=0) + 1, each.classes
        if found > count:
            yield Finding(
                f'model.head.num_classes is {count}, but {each.loader} has labels up to '
                f'{found - 1} (classes {shorten_list(names)}); set it to {max(found, len(names))}'
            )
        elif count != len(names):
            text = f'model.head.num_classes is {count}, and {each.loader} has {len(names)} classes'
            yield Finding(text, 'note')


class OnCpu(TorchFunctionMode):
    """Numbers that constructors read stay on the CPU while a model is built on meta."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.linspace, torch.tensor):
            kwargs['device'] = 'cpu'
        return function(*args, **kwargs)


def model_findings(cfg, dataset, loader):
    """Heads and weights of classes that do not fit the classes of a dataset."""
    try:
        with in_scope(cfg.get('default_scope')), torch.device('meta'), OnCpu():
            model = MODELS.build(deepcopy(cfg.model))
            if hasattr(model, 'language_model') or hasattr(model, 'text_encoder'):
                raise TypeError(f'{type(model).__name__} reads the names of classes')
            found = [*head_findings(model, dataset, loader), *weight_findings(model)]
    except Exception as error:  # whatever a constructor raises; a training would say it at length
        found = [Finding(f'the heads of the model ({truncate(error)})', 'not looked at')]
    yield from found


def head_findings(model, dataset, loader):
    """Heads of a model on meta that count other classes than those of a dataset."""
    classes, parts = dataset.metainfo['classes'], dict(model.named_modules())
    wrong = {}
    if hasattr(model, 'decode_head'):
        heads = {k: v.num_classes for k, v in parts.items() if is_segmentation_head(k, v)}
        wrong = {f'{k}.num_classes': n for k, n in heads.items() if n != len(classes)}
    elif panoptic := {k: v for k, v in parts.items() if hasattr(v, 'num_stuff_classes')}:
        counts = {k: v.num_things_classes + v.num_stuff_classes for k, v in panoptic.items()}
        both = 'num_things_classes and num_stuff_classes'
        wrong = {f'{k}.{both}': n for k, n in counts.items() if n != len(classes)}
    elif type(model).__name__ != 'RPN':  # which finds objects of any class
        wrong = {f'{k}.num_classes': n for k, n in refused_by_mmdet(parts, dataset)}
    for where, count in wrong.items():
        yield Finding(
            f'model.{where} is {count}, but {loader} has {len(classes)} classes '
            f'({shorten_list(classes)}); set it to {len(classes)}, or metainfo.classes of the '
            'dataset'
        )


def is_segmentation_head(name, part):
    """Whether a part of a segmenter learns the classes: STDC has an auxiliary head for borders."""
    plain = import_modules_from_strings('mmseg.models.decode_heads.decode_head').BaseDecodeHead
    learns = getattr(type(part), 'loss_by_feat', None) is plain.loss_by_feat
    return hasattr(part, 'num_classes') and (
        name.startswith('decode_head') or (name.startswith('auxiliary_head') and learns)
    )


def refused_by_mmdet(parts, dataset):
    """(name, count) of the modules that the hook of mmdet for it refuses, one at a time."""
    hook = import_modules_from_strings('mmdet.engine.hooks').NumClassCheckHook()
    loader = SimpleNamespace(dataset=dataset)
    for name, part in parts.items():
        if hasattr(part, 'num_classes') and not OTHERS & set(name.split('.')):
            model = SimpleNamespace(named_modules={name: part}.items)
            try:
                hook.before_train_epoch(SimpleNamespace(model=model, train_dataloader=loader))
            except AssertionError:
                yield name, part.num_classes


def weight_findings(model):
    """Weights of classes that are of another number than those of their head."""
    parts = dict(model.named_modules())
    for name, part in parts.items():
        weight = getattr(part, 'class_weight', None)
        above = [name.rsplit('.', i)[0] for i in range(1, name.count('.') + 1)]
        head = next((parts[k] for k in above if hasattr(parts[k], 'num_classes')), None)
        if hasattr(weight, '__len__') and head is not None:
            count = head.num_classes
            if len(weight) not in (count, count + 1, getattr(head, 'out_channels', count)):
                yield Finding(
                    f'model.{name}.class_weight has {len(weight)} numbers, but its head has '
                    f'{count} classes; give one for each (and one for the background if it has one)'
                )
