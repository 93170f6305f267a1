"""Fitting the tensors of any known format to a backbone, all of them or none."""

import logging
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseAveragedModel, BaseTTAModel, is_model_wrapper
from torch import nn
from torch.optim.swa_utils import AveragedModel

from .errors import CheckpointError, brief, some
from .finding import choose, find_weights
from .format import OWN
from .reading import (
    add,
    below,
    check_numbers,
    is_set_of_weights,
    named_tensors,
    read_checkpoint,
    renamed,
    with_nested_stages,
    without_wrappers,
)
from .whole import find_layout, in_mm_names
from .windows import compare_windows


@dataclass
class Report:
    """What became of a checkpoint: names of ours, but for `dropped`, which are the file's.

    `windows` has the side of the file's windows by stage, as far as its tables show them.
    """

    source: str
    format: str
    loaded: list = field(default_factory=list)
    resized: list = field(default_factory=list)
    dropped: list = field(default_factory=list)
    new: list = field(default_factory=list)
    windows: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    place: str = ''  # what stands before the names of the backbone in the file
    others: list = field(default_factory=list)  # the same of sets of weights that were not taken

    def __str__(self):
        listed = ' or '.join(other.removesuffix('.') or 'the top' for other in self.others)
        taken = f' ({self.place.removesuffix(".") or "the top"}, not {listed})' if listed else ''
        loaded = (
            f'{self.source}{taken}: format {self.format}, {len(self.loaded)} tensors loaded'
            f'{summary(self.resized, "resized")}{summary(self.dropped, "dropped")}'
            f'{summary(self.new, "newly initialised")}'
        )
        return '; '.join([loaded, *self.notes])

    def log(self):
        """Log it, and what is likely to be a mistake as warnings."""
        print_log(str(self), logger='current')
        for warning in self.warnings:
            print_log(warning, logger='current', level=logging.WARNING)


def summary(names, what):
    """', 8 dropped (norm, *.attn_mask)' for dotted names, short ones first; nothing for none."""
    parts = dict.fromkeys(re.sub(r'\.(weight|bias|running_\w+|num_\w+)$', '', n) for n in names)
    parts = dict.fromkeys(p if p.count('.') < 2 else f'*.{p.split(".")[-1]}' for p in parts)
    parts = sorted(parts, key=lambda part: part.startswith('*'))
    return f', {len(names)} {what} ({some(parts)})' if names else ''


def load_checkpoint(
    model: nn.Module,
    source: str | Path,
    *,
    prefix: str | None = None,
    map_location: Any = 'cpu',
) -> Report:
    """Load a checkpoint of any known format into a backbone or whole model, all of it or nothing.

    Output norms that the file of a backbone lacks keep their values; everything else must be there
    and fit. The first convolution is adapted to other images than RGB. What is on the meta device
    gets memory where the file's tensors are.

    Args:
        model: A backbone of this package, or a detector or segmenter that has one.
        source: Path or URL of a file of torch or safetensors. A backbone takes its part of a
            classifier or whole detector.
        prefix: What stands before a backbone's names in the file; None finds the usual ones.
        map_location: Where the file's tensors are put before they are copied, as in `torch.load`.

    Returns:
        A `Report` of what was loaded, resized, dropped and newly initialised; it is logged too.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is damaged, would run code, does not fit, or has NaN or infinity among
            what a backbone would load; `model` is as it was.
    """
    tensors, model = read_checkpoint(source, map_location), unwrapped(model)
    with off_meta(model, tensors) as empty:
        if hasattr(model, 'formats'):
            fitted, report = converted(model, tensors, source, prefix)
            model.load_state_dict(fitted, strict=False)
        else:
            part, report = find_whole(model, tensors, source, prefix)
            load_whole(model, part, report)
        start_anew(model, empty - set(report.loaded), source)
    report.log()
    return report


@contextmanager
def off_meta(model, tensors):
    """The names of what a model has on the meta device, which gets memory to be loaded into.

    It is where the file's tensors are. After an error all is on the meta device again.
    """
    device = next(iter(tensors.values())).device
    if device.type == 'meta':  # where a file was only looked at
        yield set()
        return
    before, memory = [], {}  # a tensor that two modules share stays one
    for prefix, module in model.named_modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                if tensor is not None and tensor.is_meta:
                    before.append((f'{prefix}.{name}'.removeprefix('.'), table, name, tensor))
    for _, table, name, tensor in before:
        if tensor not in memory:
            zeros = torch.zeros_like(tensor, device=device, requires_grad=False)
            memory[tensor] = zeros
            if isinstance(tensor, nn.Parameter):
                memory[tensor] = nn.Parameter(zeros, requires_grad=tensor.requires_grad)
        table[name] = memory[tensor]
    try:
        yield {full for full, *_ in before}
    except BaseException:
        for _, table, name, tensor in before:
            table[name] = tensor
        raise


def start_anew(model, names, source):
    """Start output norms and the like, which were on the meta device and are in no file."""
    names = [name for name in names if not name.endswith('num_batches_tracked')]  # zeros already
    owners = {name.rpartition('.')[0]: name for name in names}
    modules = [model.get_submodule(owner) for owner in owners]
    unknown = [
        name
        for (owner, name), module in zip(owners.items(), modules, strict=True)
        if owner.startswith('stages.') or not hasattr(module, 'reset_parameters')
    ]
    if unknown:
        raise CheckpointError(
            f'{source} lacks {some(unknown)}, of which this {type(model).__name__} has no values '
            f'either, being on the meta device; build it on another device'
        )
    for module in modules:
        module.reset_parameters()


def find_whole(model, tensors, source, prefix=None):
    """The part of a file's tensors that is a whole model, in mm's names, and a `Report` to fill.

    Raises:
        CheckpointError: It is of another model, or one of several sets of weights cannot be chosen.
    """
    wanted = f'{prefix.removesuffix(".")}.' if prefix else ''
    names = [name for name in tensors if name.startswith(wanted)]
    layout, places = find_layout(names)
    if not layout:
        places = places_of_mm(model, names)
    if not places or (prefix is None and '' in places):
        places = ['']
    place = choose(places, tensors, source)
    others = [each for each in places if each != place]
    part, rest = below(tensors, place)
    report = Report(str(source), 'of a whole model', place=place, others=others)
    report.dropped = without_sets(rest, place, others)
    if layout:
        part, report.format = in_mm_names(layout, model, part, source), layout.name
        report.warnings = layout.warnings(model)
    return part, report


def load_whole(model, tensors, report, new=()):
    """Load a detector or segmenter, all of it or nothing; its backbone converts its own part.

    Args:
        model: The model, which is as it was after an error.
        tensors: {name: tensor} of the file, as `find_whole` returns them.
        report: What `find_whole` says of them; what was loaded, dropped and is new is added.
        new: Parts of the model, by names such as `roi_head.bbox_head`, that keep their values where
            the file lacks them or has them in another size.

    Raises:
        CheckpointError: Something else is missing, unknown, of another size, NaN or infinite.
    """
    ours, source = model.state_dict(), report.source
    parts = tuple(f'{part.removesuffix(".")}.' for part in new)
    check_parts(parts, ours, type(model).__name__)
    unfit = {
        name
        for name, tensor in tensors.items()
        if name.startswith(parts) and shape(tensor) != shape(ours.get(name))
    }
    tensors = {name: tensor for name, tensor in tensors.items() if name not in unfit}
    learned = dict(model.named_parameters())
    check_numbers(named_tensors(tensors), source, masks=tensors.keys() - learned.keys())
    tensors = {name: placed(tensor, ours.get(name)) for name, tensor in tensors.items()}
    with all_or_nothing(model):
        missing, unknown = load_named(model, tensors, source)
        missing = [name for name in missing if not name.endswith('num_batches_tracked')]
        check_whole(model, source, [n for n in missing if not n.startswith(parts)], unknown)
    report.dropped = sorted(unfit - set(missing)) + report.dropped
    report.loaded = [name for name in ours if name not in missing]
    report.new = missing


def check_parts(parts, names, model):
    """Raise if no name begins with one of the parts that may start anew."""
    known = {name[: dot.start()] for name in names for dot in re.finditer(r'\.', name)}
    for part in parts:
        if not any(name.startswith(part) for name in names):
            near = get_close_matches(part, known, 3) or sorted(n for n in known if '.' not in n)
            raise CheckpointError(
                f'this {model} has no part {part[:-1]} to start anew; did you mean '
                f'{" or ".join(near)}?'
            )


@contextmanager
def all_or_nothing(model):
    """After an error a model is as it was."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        yield
    except BaseException:
        model.load_state_dict(before)
        raise


def load_named(model, tensors, source):
    """The names that are missing and unknown; a `CheckpointError` where sizes differ."""
    ours = model.state_dict()
    try:
        return model.load_state_dict(tensors, strict=False)
    except CheckpointError as error:  # of a backbone, which does not know the file
        raise CheckpointError(f'{source}: {error}') from error
    except RuntimeError as error:
        backbones = [name for name, module in model.named_modules() if hasattr(module, 'formats')]
        converted = tuple(f'{name}.' for name in backbones)  # names there may mean other tensors
        sizes = [
            f'{name}, {tuple(tensor.shape)} and here {tuple(ours[name].shape)}'
            for name, tensor in tensors.items()
            if name in ours and tensor.shape != ours[name].shape and not name.startswith(converted)
        ]
        parts = dict.fromkeys('.'.join(size.split(', ')[0].split('.')[:-2]) for size in sizes)
        hint = f', or let a part start anew in tools/train.py: allow_new={",".join(parts)}'
        raise CheckpointError(
            f'{source} is of another model than this {type(model).__name__}: {len(sizes)} tensors '
            f'have other sizes ({some(sizes) or brief(error)}); take the config of its training'
            f'{hint if sizes else ""}'
        ) from error


def check_whole(model, source, missing, unknown):
    """Raise if a file lacks tensors of a model, or has others."""
    if missing or unknown:
        raise CheckpointError(
            f'{source} is of another model than this {type(model).__name__}: it lacks '
            f'{len(missing)} tensors ({some(missing) or "none"}) and has {len(unknown)} unknown '
            f'ones ({some(unknown) or "none"}); take the config of its training'
        )


def unwrapped(model):
    """A model without what is around it for several processes, averages, flips or a compiler."""
    around = (BaseTTAModel, BaseAveragedModel, AveragedModel)
    while True:
        if hasattr(model, '_orig_mod'):
            model = model._orig_mod
        elif is_model_wrapper(model) or isinstance(model, around):
            model = model.module
        else:
            return model


def places_of_mm(model, names):
    """What stands before a model's names in a file, for each set of them that is as whole."""
    ours, counts = model.state_dict(), Counter()
    for name in names:
        starts = [0, *(dot.end() for dot in re.finditer(r'\.', name))]
        counts.update(name[:start] for start in starts if name[start:] in ours)
    likely = {p: n for p, n in counts.items() if all(map(is_set_of_weights, p.split('.')[:-1]))}
    return [place for place, count in likely.items() if count == max(likely.values())]


def convert_state_dict(net, state_dict, prefix):
    """Turn what a `load_state_dict` has for a backbone into names and layouts of ours, in place.

    What is ours already stays. It may be incomplete, which is for `strict` to judge.

    Raises:
        CheckpointError: It is of no known format, or does not fit.
    """
    theirs, _ = below(state_dict, prefix)
    if not theirs:
        return
    source = f'the state dict ({prefix}*)' if prefix else 'the state dict'
    if is_sharded(net):
        if OWN.fits(theirs):
            return
        check_not_sharded(net, source)
    ours = net.state_dict()
    own = theirs.keys() <= ours.keys()
    if own and all(shape(theirs[name]) == shape(ours[name]) for name in theirs):
        for name in theirs:
            state_dict[prefix + name] = placed(theirs[name], ours[name])
        return
    if own:
        report = Report(source, OWN.name, loaded=list(theirs))
        fitted = {name: fit(net, name, theirs[name], ours[name], report) for name in theirs}
        compare_windows(net, theirs, report)
    else:
        fitted, report = converted(net, theirs, source)
    report.log()
    for name in theirs:
        del state_dict[prefix + name]
    state_dict.update({prefix + name: tensor for name, tensor in fitted.items()})


def shape(tensor):
    """The shape of a tensor; a quantised layer saves other things as well, which have none."""
    return getattr(tensor, 'shape', None)


def is_sharded(net):
    """Whether FSDP or ZeRO 3 hold the parameters: names and shapes here are of their pieces."""
    marks = ('_fsdp_flattened', 'ds_id')
    wrapped = any('_fsdp_wrapped_module' in name for name, _ in net.named_modules())
    return wrapped or any(hasattr(p, mark) for p in net.parameters() for mark in marks)


def converted(net, tensors, source, prefix=None):
    """{our name: tensor} of everything that a backbone loads from a file's tensors, and a `Report`.

    Raises:
        CheckpointError: They do not fit, or have NaN or infinity among what would be loaded.
    """
    check_not_sharded(net, source)
    tensors = renamed(tensors, lambda name: with_nested_stages(without_wrappers(name)), source)
    form, place, others = find_weights(net, tensors, source, prefix)
    part, rest = form.part(tensors, place)
    report = Report(str(source), form.name, place=place, others=others)
    report.notes = [form.note] if form.note else []
    report.dropped = without_sets(rest, place, others)
    state = net.state_dict()
    names = {without_wrappers(name): name for name in state}
    ours = {name: state[whole] for name, whole in names.items()}
    theirs = with_counters(without_neighbours(net, rename_all(form, part, report), report), ours)
    check_names(net, ours, theirs, report)
    fitted = {name: fit(net, name, theirs[name][1], ours[name], report) for name in report.loaded}
    check_numbers(fitted, report.source)
    tables = {form.rename(name): tensor for name, tensor in part.items()}
    compare_windows(net, tables | {name: tensor for name, (_, tensor) in theirs.items()}, report)
    return {names[name]: placed(fitted[name], ours[name]) for name in fitted}, report


def without_sets(names, place, others):
    """The names that do not belong to other sets of weights, as far as these differ in theirs."""
    starts = []
    for other in others:
        parts, taken = other.split('.'), place.split('.') + [None]
        same = next(i for i, part in enumerate(parts) if part != taken[i])
        starts.append('.'.join(parts[: same + 1]) + ('.' if parts[same] else ''))
    return [name for name in names if not name.startswith(tuple(starts))]


def without_neighbours(net, theirs, report):
    """The renamed tensors without those of other modules, such as a text encoder beside a bare net.

    Their names begin as no name of a backbone does in this format.
    """
    ours = re.compile(rf'stem\.|stages\.|{net.optional_keys}')
    known = {first_part(their) for name, (their, _) in theirs.items() if ours.match(name)}
    kept = {}
    for name, (their, tensor) in theirs.items():
        if '.' in their and not ours.match(name) and first_part(their) not in known:
            report.dropped.append(their)
        else:
            kept[name] = (their, tensor)
    return kept


def first_part(name):
    """What a dotted name begins with, without a number."""
    return name.split('.')[0].rstrip('0123456789')


def with_counters(theirs, ours):
    """The renamed tensors, with the counters of batch norms that older files do not have."""
    counters = [name for name in ours if name.endswith('num_batches_tracked')]
    known = [n for n in counters if n.replace('num_batches_tracked', 'running_var') in theirs]
    return {name: (name, torch.tensor(0)) for name in known} | theirs


def placed(tensor, like):
    """A whole tensor, cut as another one is if FSDP2 has distributed that."""
    if not hasattr(like, 'device_mesh') or hasattr(tensor, 'device_mesh'):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def check_not_sharded(net, source):
    """Raise if a net's parameters are pieces, which no file has."""
    if is_sharded(net):
        raise CheckpointError(
            f'{source} cannot be fitted to a net that FSDP or ZeRO 3 has sharded; load it before '
            f'that, as init_cfg does'
        )


def rename_all(form, tensors, report):
    """{our name: (their name, tensor in our layout)}, without what the format says to drop."""
    theirs = {}
    with laid_out(report, 'one of its tensors'):
        tensors = form.prepare(tensors)
    for name, tensor in tensors.items():
        if any(re.search(pattern, name) for pattern in form.drops):
            report.dropped.append(name)
            continue
        ours = form.rename(name)
        with laid_out(report, name):
            tensor = form.convert(ours, tensor)
        add(theirs, ours, (name, tensor), report.source)
    return theirs


@contextmanager
def laid_out(report, name):
    """What PyTorch says about a tensor of an unexpected shape becomes a `CheckpointError`."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(
            f'{report.source}: {brief(name)} is not laid out as in files of format '
            f'{report.format} ({brief(error)}); check arch and family'
        ) from error


def check_names(net, ours, theirs, report):
    """Sort names into loaded, dropped and new; raise if one is missing or unannounced."""

    def unused(name):
        part = re.match(rf'{net.optional_keys}|stages\.\d+\.', name)
        return part and not any(other.startswith(part[0]) for other in ours)

    def fresh(name):
        part = re.match(net.optional_keys, name)
        return part and not any(other.startswith(part[0]) for other in theirs)

    report.loaded = [name for name in ours if name in theirs]
    report.new = [name for name in ours if fresh(name)]
    report.dropped += [theirs[name][0] for name in theirs if unused(name)]
    missing = [name for name in ours if name not in theirs and not fresh(name)]
    foreign = [theirs[name][0] for name in theirs if name not in ours and not unused(name)]
    if missing or foreign:
        raise CheckpointError(
            f'{report.source} (format {report.format}) is no checkpoint of this '
            f'{type(net).__name__}: it lacks {len(missing)} tensors ({some(missing) or "none"}) '
            f'and has {len(foreign)} unknown ones ({some(foreign) or "none"}); '
            f'check arch and family'
        )


def fit(net, name, tensor, like, report):
    """A tensor in the shape and dtype of ours; a module with a `fit` method resizes its own."""
    module, shape = net.get_submodule(name.rpartition('.')[0]), tensor.shape
    if name.startswith('stem.') and shape[1:2] == (3,) != like.shape[1:2] == (
        net.stem.in_channels,
    ):
        tensor = for_channels(tensor, net.stem.in_channels)
        report.resized.append(name)
    elif shape != like.shape and hasattr(module, 'fit') and tensor.dim() == like.dim():
        with laid_out(report, name):
            tensor = module.fit(tensor)
        report.resized.append(name)
    if tensor.shape != like.shape:
        raise CheckpointError(
            f'{report.source}: {name} is {tuple(shape)} in the file and {tuple(like.shape)} '
            f'in this {type(net).__name__}; check arch and its arguments'
        )
    if like.is_floating_point() and not tensor.is_floating_point():
        raise CheckpointError(
            f'{report.source}: {name} has numbers of {tensor.dtype}, expected floating ones; '
            f'take a file of the weights as they were trained'
        )
    return tensor.to(like.dtype)


def for_channels(weight, count):
    """A convolution of RGB images for `count` channels: red, green, blue in turn, of the same sum.

    For one channel it is the sum, so that a grey image gives what it gave before.
    """
    if count == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(count) % 3] * (3 / count)
