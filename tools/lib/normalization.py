"""Whether a config normalises images as the published weights of its backbones expect them."""

import math
from itertools import zip_longest
from typing import NamedTuple

from mmengine.registry import MODELS as ROOT_MODELS

from lib.config_checks import class_of
from lib.datasets import as_list, inner_datasets, type_name
from mmbackbones.backbone import Backbone
from mmbackbones.weights.names import find_name
from mmbackbones.weights.published import find_weights


class Normalization(NamedTuple):
    """What becomes of the numbers of an image, and in which order its channels are."""

    mean: list[float]
    std: list[float]
    channels: str

    def __str__(self):
        mean, std = (', '.join(f'{value:g}' for value in part) for part in self[:2])
        return f'mean {mean}, deviation {std}, {self.channels}'


def foreign_normalization(cfg):
    """A sentence if a backbone begins with published weights that expect other images, or None.

    It says so too where the normalisation of a config cannot be seen.
    """
    for known in begun_with(cfg.model, cfg):
        wanted = Normalization(*known.weights.normalization, known.weights.channels)
        found = normalization_of(cfg)
        if found is None or not are_same(found, wanted):
            label = f'{known.name} {known.arch}, {known.label}'
            seen = f'this config has {found}' if found else 'that of this config is not to be seen'
            return (
                f'the weights of {label} expect images with {wanted}, and {seen}; '
                f'`python -m mmbackbones info {known.name} --weights {known.arch}` prints the '
                f'data_preprocessor for them'
            )
    return None


def begun_with(part, cfg):
    """The published weights with which backbones of ours begin, at any depth of a model."""
    if isinstance(part, list | tuple):
        for each in part:
            yield from begun_with(each, cfg)
    if not isinstance(part, dict):
        return
    kind = class_of(part.get('type'), ROOT_MODELS, cfg) if part.get('init_cfg') else None
    if isinstance(kind, type) and issubclass(kind, Backbone):
        for settings in as_list(part['init_cfg']):
            checkpoint = str(settings.get('checkpoint')) if isinstance(settings, dict) else ''
            if known := find_weights(checkpoint) or find_name(checkpoint):
                yield known
    for value in part.values():
        yield from begun_with(value, cfg)


def normalization_of(cfg):
    """The normalisation of a config's images, the model's or the training pipeline's, or None."""
    part = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    while isinstance(part, dict) and 'data_preprocessor' in part:
        part = part['data_preprocessor']  # inside one for several branches
    if isinstance(part, dict) and part.get('mean') is not None:
        swapped = any(part.get(name) for name in ('bgr_to_rgb', 'rgb_to_bgr', 'to_rgb'))
        return Normalization(part['mean'], part['std'], 'RGB' if swapped else 'BGR')
    for dataset in inner_datasets((cfg.get('train_dataloader') or {}).get('dataset', [])):
        for step in dataset.get('pipeline') or []:
            if type_name(step) == 'Normalize':
                channels = 'RGB' if step.get('to_rgb', True) else 'BGR'
                return Normalization(step['mean'], step['std'], channels)
    return None


def are_same(found, wanted):
    """Whether two normalisations are one, but for rounding.

    More channels than three are read as they lie, and so is what a config does not swap.
    """
    if (found.channels == 'RGB') != (wanted.channels == 'RGB'):
        return False
    longest = max(len(found.mean), len(wanted.mean))
    return all(
        math.isclose(one, other, rel_tol=0.02, abs_tol=0.5)
        for here, there in zip(found[:2], wanted[:2], strict=True)
        for one, other in zip_longest(
            repeated(here, longest), repeated(there, longest), fillvalue=math.inf
        )
    )


def repeated(values, number):
    """One value for every channel, where one is for all."""
    return list(values) * (number if len(values) == 1 else 1)
