"""Which tensors of a file are a backbone's, and in which format: wherever its names begin."""

import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from .errors import CheckpointError, shorten_list
from .format import OWN, Format
from .net import BackboneNet
from .others import OTHERS
from .reading import Tensors, without_wrappers, words

AVERAGES = {'ema', 'averaged', 'shadow', 'shadows', 'swa'}
# Where a file has two nets: a word before the names of the one that is taken, and of the other. It
# is the average, but GFM's teacher is a net of ImageNet's, and MoBY's authors load its `encoder`.
NETS = (
    ('teacher', 'student'),
    ('target', 'online'),
    ('branch', 'online'),  # of CMID
    ('encoder', 'teacher'),
    ('', 'k'),
    ('q', 'k'),
)


def find_weights(
    net: BackboneNet, tensors: Tensors, source: str | Path, prefix: str | None = None
) -> tuple[Format, str, list[str]]:
    """(format, prefix, prefixes of other weights) of a backbone's tensors in a file.

    Args:
        net: The backbone.
        tensors: By their names in the file.
        source: What errors call the file.
        prefix: Chooses one of several sets.

    Raises:
        CheckpointError: There is none of the net's formats, or one of several cannot be chosen.
    """
    wanted = f'{prefix.removesuffix(".")}.' if prefix else ''
    places = {p: form for p, form in formats_in(net, tensors).items() if p.startswith(wanted)}
    if prefix is not None and wanted in places:
        places = {wanted: places[wanted]}
    inside = [name.removeprefix(wanted) for name in tensors if name.startswith(wanted)]
    refuse_others(net, tensors, source, wanted, places)
    if not places:
        known = ', '.join(form.name for form in (*net.formats, OWN))
        where = f' below {wanted}' if wanted else ''
        raise CheckpointError(
            f'{source} is of no format known for {type(net).__name__} ({known}); its names{where} '
            f'start with {shorten_list(inside or tensors)}{relatives_with(net, inside)}; '
            f'check arch and family'
        )
    place = choose(list(places), tensors, source)
    return places[place], place, [each for each in places if each != place]


def formats_in(net: BackboneNet, names: Collection[str]) -> dict[str, Format]:
    """{what stands before the names: format} of all sets of a backbone's tensors in a file."""
    places: dict[str, Format] = {}
    for form in net.formats:
        for place in form.prefixes(names):
            places.setdefault(place, form)
    for place in OWN.prefixes(names):
        if place not in places and is_own(net, names, place):
            places[place] = OWN
    return places


def is_own(net: BackboneNet, names: Collection[str], prefix: str) -> bool:
    """Whether names are ours, and of this net rather than of another family."""
    if any(prefix in form.prefixes(names) for other in relatives(net) for form in other.formats):
        return False
    theirs = first_names(name.removeprefix(prefix) for name in names if name.startswith(prefix))
    ours = first_names(map(without_wrappers, net.state_dict()))
    others = [likeness(names, theirs) for names in own_names(net).values()]
    return theirs <= ours or likeness(ours, theirs) > max(0.5, *others)


def refuse_others(net, tensors, source, prefix, places):
    """Raise if the names are those of another architecture, which is near ours and differs."""
    for form in OTHERS:
        for place in form.prefixes(tensors):
            if place.startswith(prefix) and (place in places or not places):
                raise CheckpointError(
                    f'{source} is of {form.name}; it does not fit {type(net).__name__}, '
                    f'check arch and family'
                )


def relatives_with(net: BackboneNet, names: Collection[str]) -> str:
    """', as those of DaViT (format timm)': relatives of a net that know such names."""
    known = {
        other.__name__: [f.name for f in other.formats if f.prefixes(names)]
        for other in relatives(net)
    }
    found = [f'{other} (format {forms[0]})' for other, forms in known.items() if forms]
    for place in [] if found else OWN.prefixes(names):
        theirs = first_names(name.removeprefix(place) for name in names if name.startswith(place))
        alike = {other: likeness(names, theirs) for other, names in own_names(net).items()}
        best = max(0.7, *alike.values())
        found = [other.__name__ for other in alike if alike[other] == best]
    return f', as those of {" or ".join(found)}' if found else ''


def relatives(net: BackboneNet) -> list[Any]:
    """The families of backbones other than a net's, which may be of a subclass."""
    bases: list[Any] = [kind for kind in type(net).__mro__ if 'formats' in vars(kind)]
    families = [kind for kind in bases[-1].__subclasses__() if vars(kind).get('formats')]
    return [family for family in families if not isinstance(net, family)]


def own_names(net):
    """{family: the names of ours at its beginning} of the relatives of a net."""
    return {family: names_of(family) for family in relatives(net)}


@cache
def names_of(family):
    """The names of ours at the beginning of a family's nets."""
    with torch.device('meta'):
        return first_names(family().state_dict())


def likeness(names: set[str], others: set[str]) -> float:
    """The share of names that two sets have in common, from 0 to 1."""
    return len(names & others) / len(names | others)


def first_names(names: Iterable[str]) -> set[str]:
    """Those of the stem and of the first block."""
    return {name for name in names if re.match(r'stem\.|stages\.0\.blocks\.0\.', name)}


def choose(places: list[str], names: Collection[str], source: str | Path) -> str:
    """The one set of weights that is meant, of what stands before the names of each.

    Raises:
        CheckpointError: It cannot be known.
    """
    best = [
        one
        for one in places
        if all(outranks(one, other, names) for other in places if other != one)
    ]
    if not best:
        listed = ' and '.join(place or "''" for place in places)
        raise CheckpointError(
            f'{source} has several sets of weights, with names below {listed}; choose one by '
            f'prefix={places[0].removesuffix(".")!r}'
        )
    return best[0]


def outranks(one: str, other: str, names: Collection[str]) -> bool:
    """Whether a set of weights is taken rather than another: an average rather than its source."""
    nests, other_nests = one.split('.'), other.split('.')
    while nests[0] == other_nests[0]:  # a nest around both says nothing of either
        nests, other_nests = nests[1:], other_nests[1:]
    here, there = words('.'.join(nests)), words('.'.join(other_nests))
    mine, theirs = here - there, there - here
    if mine & AVERAGES or theirs & AVERAGES:
        averaged = bool(mine & AVERAGES)
        # mmengine saves the average as the model, and counts the steps of what it takes it from.
        source = next((nest for nest in (one, other) if words(nest) & AVERAGES), '').split('.')[0]
        return averaged != (f'{source}.steps' in names)
    return any((a in mine if a else not mine) and b in theirs for a, b in NETS)
