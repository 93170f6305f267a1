"""The tables of weights/README.md are the lists: `python tests/test_weights_page.py` writes it."""

import re

import pytest
from conftest import ROOT  # which finds the tools, where this runs as a script

import mmbackbones
from mmbackbones.weights.names import HUGGING_FACE, TIMM, find_name
from mmbackbones.weights.published import HALF, IMAGENET, PUBLISHED, UNIT, every_published

PAGE = ROOT / 'mmbackbones/weights/README.md'
NORMS = {IMAGENET: "ImageNet's", HALF: '-1 to 1', UNIT: '0 to 1'}


def as_code(arguments):
    """Arguments of a backbone as a call has them."""
    return ', '.join(f'{key}={value}' for key, value in arguments.items())


def inputs(weights):
    """The channels that a file expects, and their normalisation."""
    mean, std = (', '.join(f'{value:g}' for value in part) for part in weights.normalization)
    known = NORMS.get(weights.normalization, f'mean {mean}, deviation {std}')
    return known if weights.channels == 'RGB' else f'{weights.channels}; {known}'


def files(name):
    """The table of the files for a class."""
    yield '| arch | file | top-1 | pixels | arguments | inputs | licence | |'
    yield '|---|---|---|---|---|---|---|---|'
    for arch, labels in PUBLISHED[name].items():
        for label, weights in labels.items():
            arguments = weights.arguments
            code = f'`{as_code(arguments)}`' if arguments else ''
            notes = [weights.note, 'by a browser' * (not weights.is_direct)]
            notes = '; '.join(note for note in notes if note)
            cells = (
                arch,
                f'[{label}]({weights.url})',
                weights.figure,
                str(weights.size),
                code,
                inputs(weights),
                weights.licence,
                f'[source]({weights.source}) {notes}'.strip(),
            )
            yield f'| {" | ".join(cells)} |'


def names():
    """The table of names in timm and at Hugging Face."""
    yield '| there | here | weights |'
    yield '|---|---|---|'
    for there in [*TIMM, *HUGGING_FACE]:
        known = find_name(there)
        arguments = dict(arch=known.arch) | known.weights.arguments
        text = as_code({key: repr(value) for key, value in arguments.items()})
        yield f'| `{there}` | `{known.name}({text})` | {known.label} |'


TABLES = {name: files(name) for name in PUBLISHED} | {'Names': names()}
TABLES = {title: '\n'.join(table) for title, table in TABLES.items()}


def with_tables(text):
    """The page with each table anew: under its heading, the lines that begin with a bar."""
    lines, title = [], None
    for line in text.splitlines():
        if line.startswith('## '):
            title = line.removeprefix('## ')
        if title in TABLES and line.startswith('|'):
            if not lines[-1]:  # where the old one begins
                lines.append(TABLES[title])
        elif line or lines[-1]:
            lines.append(line)
    return '\n'.join(lines).rstrip() + '\n'


def test_the_page_is_what_the_lists_say():
    assert PAGE.read_text() == with_tables(PAGE.read_text()), (
        'python tests/test_weights_page.py writes it anew'
    )


@pytest.mark.parametrize('title', TABLES)
def test_every_table_is_there(title):
    assert f'\n\n{TABLES[title]}\n' in PAGE.read_text()


def test_names_are_of_files_that_are_published():
    listed = {known[:3] for known in every_published()}
    assert set(TIMM.values()) | set(HUGGING_FACE.values()) <= listed
    assert find_name('timm/davit_tiny.msft_in1k')[:3] == ('DaViT', 'tiny', '1K')
    assert find_name('microsoft/Florence-2-large')[:3] == ('DaViT', 'huge_fl', 'Florence-2')
    assert find_name('maxvit_rmlp_tiny_rw_256.sw_in1k') is None


@pytest.mark.parametrize('name', TIMM)
def test_a_name_of_timm_says_what_ours_is(name):
    """Its family, its size, and the side of the images."""
    kind, arch, label = TIMM[name]
    weights = PUBLISHED[kind][arch][label]
    assert hasattr(mmbackbones, kind)
    words = re.split('[_.]', name)
    assert arch in words or arch == f'{words[1]}_fl'
    sides = [int(side) for side in re.findall(r'(?:_|to)(\d{3})(?=[._])', name)]
    assert weights.size == max(sides, default=768 if 'fl' in words else 224)
    if '/timm/' in weights.url:
        assert weights.url == f'https://huggingface.co/timm/{name}/resolve/main/model.safetensors'


if __name__ == '__main__':
    PAGE.write_text(with_tables(PAGE.read_text()))
