"""Fitting the tensors of any known format to a backbone, all of them or none."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseAveragedModel, BaseTTAModel, is_model_wrapper
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from .errors import CheckpointError, shorten_list, truncate
from .finding import choose, find_weights
from .format import OWN, Format
from .net import BackboneNet, Resizable, is_backbone
from .reading import (
    COMPILED,
    Tensors,
    check_numbers,
    insert_unique,
    is_set_of_weights,
    named_tensors,
    read_checkpoint,
    renamed,
    strip_prefix,
    with_nested_stages,
    without_wrappers,
)
from .whole import find_layout, in_mm_names
from .windows import compare_windows

Renamed = dict[str, tuple[str, Tensor]]  # {our name: (their name, tensor in our layout)}


@dataclass
class Report:
    """What became of a checkpoint: names of ours, but for `dropped`, which are the file's.

    `windows` has the side of the file's windows by stage, as far as its tables show them.
    """

    source: str
    format: str
    loaded: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    windows: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    place: str = ''  # the prefix of the weights' names in the file
    others: list[str] = field(default_factory=list)  # prefixes of weights that were not loaded

    def __str__(self) -> str:
        others = ' or '.join(other.removesuffix('.') or 'the top' for other in self.others)
        choice = f' ({self.place.removesuffix(".") or "the top"}, not {others})' if others else ''
        loaded = (
            f'{self.source}{choice}: format {self.format}, {len(self.loaded)} tensors loaded'
            f'{summary(self.resized, "resized")}{summary(self.dropped, "dropped")}'
            f'{summary(self.new, "newly initialised")}'
        )
        return '; '.join([loaded, *self.notes])

    def log(self) -> None:
        """Log it, and what is likely to be a mistake as warnings."""
        print_log(str(self), logger='current')
        for warning in self.warnings:
            print_log(warning, logger='current', level=logging.WARNING)


def summary(names: list[str], what: str) -> str:
    """', 8 dropped (norm, *.attn_mask)' for dotted names, short ones first; nothing for none."""
    layers = [re.sub(r'\.(weight|bias|running_\w+|num_\w+)$', '', name) for name in names]
    short = [name if name.count('.') < 2 else f'*.{name.split(".")[-1]}' for name in layers]
    parts = sorted(dict.fromkeys(short), key=lambda part: part.startswith('*'))
    return f', {len(names)} {what} ({shorten_list(parts)})' if names else ''


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
    with memory_for(model, tensors) as on_meta:
        if is_backbone(model):
            fitted, report = convert_tensors(model, tensors, source, prefix)
            model.load_state_dict(fitted, strict=False)
        else:
            part, report = find_whole(model, tensors, source, prefix)
            load_whole(model, part, report)
        initialise(model, on_meta - set(report.loaded), source)
    report.log()
    return report


@contextmanager
def memory_for(model, tensors):
    """Replace a model's tensors on the meta device by zeros; the context is the set of their names.

    They are on the device of the file's tensors. After an error all are on the meta device again.
    """
    device = next(iter(tensors.values())).device
    if device.type == 'meta':  # where a file was only looked at
        yield set()
        return
    before = [
        (module, name, tensor, f'{prefix}.{name}'.removeprefix('.'))
        for prefix, module in model.named_modules()
        for name, tensor in own_tensors(module)
        if tensor.is_meta
    ]
    memory: dict[torch.Tensor, torch.Tensor] = {}  # a tensor that two modules share stays one
    for module, name, tensor, _ in before:
        if tensor not in memory:
            zeros = torch.zeros_like(tensor, device=device, requires_grad=False)
            memory[tensor] = zeros
            if isinstance(tensor, nn.Parameter):
                memory[tensor] = nn.Parameter(zeros, requires_grad=tensor.requires_grad)
        setattr(module, name, memory[tensor])
    try:
        yield {full_name for *_, full_name in before}
    except BaseException:
        for module, name, tensor, _ in before:
            setattr(module, name, tensor)
        raise


def own_tensors(module):
    """(name, tensor) of the parameters and buffers of a module, without those of its children."""
    yield from module.named_parameters(recurse=False, remove_duplicate=False)
    yield from module.named_buffers(recurse=False, remove_duplicate=False)


def initialise(model, names, source):
    """Initialise output norms and the like, which were on the meta device and are in no file."""
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
            f'{source} lacks {shorten_list(unknown)}, of which this {type(model).__name__} has no '
            f'values either, being on the meta device; build it on another device'
        )
    for module in modules:
        module.reset_parameters()


def find_whole(
    model: nn.Module, tensors: Tensors, source: str | Path, prefix: str | None = None
) -> tuple[Tensors, Report]:
    """The tensors of a file that are a whole model's, in mm's names, and a `Report` to fill.

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
    part, rest = strip_prefix(tensors, place)
    report = Report(str(source), 'of a whole model', place=place, others=others)
    report.dropped = without_sets(rest, place, others)
    if layout:
        part, report.format = in_mm_names(layout, model, part, source), layout.name
        report.warnings = layout.warnings(model)
    return part, report


def load_whole(model: nn.Module, tensors: Tensors, report: Report, new: Iterable[str] = ()) -> None:
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
        if name.startswith(parts) and shape_of(tensor) != shape_of(ours.get(name))
    }
    tensors = {name: tensor for name, tensor in tensors.items() if name not in unfit}
    learned = dict(model.named_parameters())
    check_numbers(named_tensors(tensors), source, masks=tensors.keys() - learned.keys())
    tensors = {name: distributed_as(tensor, ours.get(name)) for name, tensor in tensors.items()}
    with all_or_nothing(model):
        missing, unknown = load_named(model, tensors, source)
        missing = [name for name in missing if not name.endswith('num_batches_tracked')]
        check_whole(model, source, [n for n in missing if not n.startswith(parts)], unknown)
    report.dropped = sorted(unfit - set(missing)) + report.dropped
    report.loaded = [name for name in ours if name not in missing]
    report.new = missing


def check_parts(parts: Iterable[str], names: Iterable[str], model: str) -> None:
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
        backbones = [name for name, module in model.named_modules() if is_backbone(module)]
        converted = tuple(f'{name}.' for name in backbones)  # names there may mean other tensors
        unfit = [
            name
            for name, tensor in tensors.items()
            if name in ours and tensor.shape != ours[name].shape and not name.startswith(converted)
        ]
        sizes = [
            f'{name}, {tuple(tensors[name].shape)} and here {tuple(ours[name].shape)}'
            for name in unfit
        ]
        parts = dict.fromkeys('.'.join(name.split('.')[:-2]) for name in unfit)
        hint = f', or let a part start anew in tools/train.py: allow_new={",".join(parts)}'
        raise CheckpointError(
            f'{source} is of another model than this {type(model).__name__}: {len(sizes)} tensors '
            f'have other sizes ({shorten_list(sizes) or truncate(error)}); take the config of its '
            f'training{hint if sizes else ""}'
        ) from error


def check_whole(
    model: nn.Module, source: str | Path, missing: list[str], unknown: list[str]
) -> None:
    """Raise if a file lacks tensors of a model, or has others."""
    if missing or unknown:
        raise CheckpointError(
            f'{source} is of another model than this {type(model).__name__}: it lacks '
            f'{len(missing)} tensors ({shorten_list(missing) or "none"}) and has {len(unknown)} '
            f'unknown ones ({shorten_list(unknown) or "none"}); take the config of its training'
        )


def unwrapped(model: Any) -> nn.Module:
    """A model without wrappers: data parallelism, averages, test-time augmentation, compilers."""
    around = (BaseTTAModel, BaseAveragedModel, AveragedModel)
    while True:
        if hasattr(model, COMPILED):
            model = getattr(model, COMPILED)
        elif is_model_wrapper(model) or isinstance(model, around):
            model = model.module
        else:
            return model


def places_of_mm(model: nn.Module, names: Iterable[str]) -> list[str]:
    """The prefixes of a model's names in a file; of several, those with the most names."""
    ours, counts = model.state_dict(), Counter[str]()
    for name in names:
        starts = [0, *(dot.end() for dot in re.finditer(r'\.', name))]
        counts.update(name[:start] for start in starts if name[start:] in ours)
    likely = {p: n for p, n in counts.items() if all(map(is_set_of_weights, p.split('.')[:-1]))}
    return [place for place, count in likely.items() if count == max(likely.values())]


def convert_state_dict(net: BackboneNet, state_dict: dict[str, Any], prefix: str) -> None:
    """Convert a backbone's part of a state dict into our names and layouts, in place.

    What is ours already stays. It may be incomplete: `strict` decides whether that is an error.

    Raises:
        CheckpointError: It is of no known format, or does not fit.
    """
    theirs, _ = strip_prefix(state_dict, prefix)
    if not theirs:
        return
    source = f'the state dict ({prefix}*)' if prefix else 'the state dict'
    if is_sharded(net):
        if OWN.fits(theirs):
            return
        check_not_sharded(net, source)
    ours = net.state_dict()
    own = theirs.keys() <= ours.keys()
    if own and all(shape_of(theirs[name]) == shape_of(ours[name]) for name in theirs):
        for name in theirs:
            state_dict[prefix + name] = distributed_as(theirs[name], ours[name])
        return
    if own:
        report = Report(source, OWN.name, loaded=list(theirs))
        fitted = {name: fit_tensor(net, name, theirs[name], ours[name], report) for name in theirs}
        compare_windows(net, theirs, report)
    else:
        fitted, report = convert_tensors(net, theirs, source)
    report.log()
    for name in theirs:
        del state_dict[prefix + name]
    state_dict.update({prefix + name: tensor for name, tensor in fitted.items()})


def shape_of(tensor: Any) -> torch.Size | None:
    """The shape of a tensor; a quantised layer saves other things as well, which have none."""
    return getattr(tensor, 'shape', None)


def is_sharded(net: nn.Module | BackboneNet) -> bool:
    """Whether FSDP or ZeRO 3 hold the parameters: names and shapes here are of their pieces."""
    if torch.distributed.is_available():
        from torch.distributed.fsdp import FullyShardedDataParallel

        if any(isinstance(module, FullyShardedDataParallel) for module in net.modules()):
            return True
    # A net inside of FSDP sees its parameters alone. If FSDP's mark moves, pieces are loaded as if
    # they were whole, which fails with an error about sizes.
    marks = ('_fsdp_flattened', 'ds_id')
    return any(hasattr(p, mark) for p in net.parameters() for mark in marks)


def convert_tensors(
    net: BackboneNet, tensors: Tensors, source: str | Path, prefix: str | None = None
) -> tuple[Tensors, Report]:
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
    theirs = rename_all(form, part, report)
    theirs = without_neighbours(net, theirs, report)
    theirs = with_counters(theirs, ours)
    check_names(net, ours, theirs, report)
    fitted = {
        name: fit_tensor(net, name, theirs[name][1], ours[name], report) for name in report.loaded
    }
    check_numbers(fitted, report.source)
    tables = {form.rename(name): tensor for name, tensor in part.items()}
    compare_windows(net, tables | {name: tensor for name, (_, tensor) in theirs.items()}, report)
    return {names[name]: distributed_as(fitted[name], ours[name]) for name in fitted}, report


def without_sets(names: list[str], place: str, others: list[str]) -> list[str]:
    """The names that do not belong to other sets of weights, as far as these differ in theirs."""
    starts = []
    for other in others:
        parts, chosen = other.split('.'), [*place.split('.'), None]
        same = next(i for i, part in enumerate(parts) if part != chosen[i])
        starts.append('.'.join(parts[: same + 1]) + ('.' if parts[same] else ''))
    return [name for name in names if not name.startswith(tuple(starts))]


def without_neighbours(net: BackboneNet, theirs: Renamed, report: Report) -> Renamed:
    """The renamed tensors without those of other modules, such as a text encoder beside a net.

    These are known by the first part of their names, which no tensor of a backbone has in a format.
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


def first_part(name: str) -> str:
    """What a dotted name begins with, without a number."""
    return name.split('.')[0].rstrip('0123456789')


def with_counters(theirs: Renamed, ours: Tensors) -> Renamed:
    """The renamed tensors, with the counters of batch norms that older files do not have."""
    counters = [name for name in ours if name.endswith('num_batches_tracked')]
    known = [n for n in counters if n.replace('num_batches_tracked', 'running_var') in theirs]
    return {name: (name, torch.tensor(0)) for name in known} | theirs


def distributed_as(tensor: Any, like: Any) -> Any:
    """A whole tensor, distributed as another one is if that belongs to FSDP2."""
    if not hasattr(like, 'device_mesh') or hasattr(tensor, 'device_mesh'):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def check_not_sharded(net: BackboneNet, source: str | Path) -> None:
    """Raise if a net's parameters are pieces, which no file has."""
    if is_sharded(net):
        raise CheckpointError(
            f'{source} cannot be fitted to a net that FSDP or ZeRO 3 has sharded; load it before '
            f'that, as init_cfg does'
        )


def rename_all(form: Format, tensors: Tensors, report: Report) -> Renamed:
    """{our name: (their name, tensor in our layout)}, without what the format says to drop."""
    theirs: Renamed = {}
    with layout_errors(report, 'one of its tensors'):
        tensors = form.prepare(tensors)
    for name, tensor in tensors.items():
        if any(re.search(pattern, name) for pattern in form.drops):
            report.dropped.append(name)
            continue
        ours = form.rename(name)
        with layout_errors(report, name):
            tensor = form.convert(ours, tensor)
        insert_unique(theirs, ours, (name, tensor), report.source)
    return theirs


@contextmanager
def layout_errors(report: Report, name: str) -> Iterator[None]:
    """Inside, PyTorch's errors about tensors of unexpected shapes become a `CheckpointError`."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(
            f'{report.source}: {truncate(name)} is not laid out as in files of format '
            f'{report.format} ({truncate(error)}); check arch and family'
        ) from error


def check_names(net: BackboneNet, ours: Tensors, theirs: Renamed, report: Report) -> None:
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
            f'{type(net).__name__}: it lacks {len(missing)} tensors '
            f'({shorten_list(missing) or "none"}) and has {len(foreign)} unknown ones '
            f'({shorten_list(foreign) or "none"}); check arch and family'
        )


def fit_tensor(net: BackboneNet, name: str, tensor: Tensor, like: Tensor, report: Report) -> Tensor:
    """A tensor in the shape and dtype of ours; a module with a `fit` method resizes its own."""
    module, shape = net.get_submodule(name.rpartition('.')[0]), tensor.shape
    if is_for_rgb_alone(net, name, tensor, like):
        tensor = for_channels(tensor, net.stem.in_channels)
        report.resized.append(name)
    elif shape != like.shape and isinstance(module, Resizable) and tensor.dim() == like.dim():
        with layout_errors(report, name):
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


def is_for_rgb_alone(net: BackboneNet, name: str, tensor: Tensor, like: Tensor) -> bool:
    """Whether a tensor is the first convolution for RGB, where the net's is for other images."""
    if not name.startswith('stem.') or tensor.dim() < 2 or like.dim() < 2:
        return False
    channels = net.stem.in_channels
    return tensor.shape[1] == 3 and channels != 3 and like.shape[1] == channels


def for_channels(weight: Tensor, count: int) -> Tensor:
    """A convolution of RGB images for `count` channels: red, green, blue in turn, of the same sum.

    For one channel it is the sum, so that a grey image gives what it gave before.
    """
    if count == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(count) % 3] * (3 / count)
