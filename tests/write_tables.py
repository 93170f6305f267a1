"""Writes what follows from the lists and the configs, so that no figure is copied by hand.

    python tests/write_tables.py

* tables of pages, below lines such as `<!-- table sizes, written by tests/write_tables.py -->`:
  what mmbackbones/weights/published.py and published_dense.py list, and the configs
* the result in the docstring of each config, which published_dense.py has
* mim's index and metafiles in .mim

test_tables.py fails where something else stands there.
"""

import ast
import os
import re
import textwrap
from collections import defaultdict
from functools import partial

import torch
import yaml
from conftest import ROOT  # which finds the tools
from families import BY_FILE, FAMILIES
from get_flops import SHAPES
from lib.flops import count
from shipped import ARCHS, CONFIGS, NAME, config, model

from mmbackbones.__main__ import describe, weights_of
from mmbackbones.registry import MODELS
from mmbackbones.weights.names import HUGGING_FACE, TIMM, find_name
from mmbackbones.weights.published import HALF, IMAGENET, PUBLISHED, UNIT
from mmbackbones.weights.published_dense import SOURCES, find_report

FOLDERS = ('configs', 'mmbackbones', 'tests', 'tools')
PAGES = [*ROOT.glob('*.md'), *(page for each in FOLDERS for page in (ROOT / each).rglob('*.md'))]
TABLE = re.compile(r'(<!-- table (.+?), written by tests/write_tables\.py -->\n)((?:\|.*\n)*)')
RESULT = re.compile(r'^Result: (?!no ).*?not\s+reproduced\s+here\.$', re.M | re.S)
NORMS = {IMAGENET: "ImageNet's", HALF: '-1 to 1', UNIT: '0 to 1'}
DATA = dict(CocoDataset='COCO', CocoPanopticDataset='COCO', ADE20KDataset='ADE20K')
TASKS = {
    'box AP': 'Object Detection',
    'mask AP': 'Instance Segmentation',
    'PQ': 'Panoptic Segmentation',
    'mIoU': 'Semantic Segmentation',
    'mIoU (ms+flip)': 'Semantic Segmentation',
}
METAFILE = """\
# Written by `python tests/write_tables.py`.
# Weights and results are those that authors published, not reproduced here. Most configs have none:
# mim does not download what ends in a slash.
"""


def table(*rows):
    """The text of a table; the first row is its head."""
    head, *rest = rows
    lines = [head, ['---'] * len(head), *rest]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def link(text, path, page):
    """A link to a file from a page."""
    return f'[{text}]({os.path.relpath(path, page.parent)})'


def as_code(arguments):
    """Arguments of a backbone as a call has them."""
    return ', '.join(f'{key}={value}' for key, value in arguments.items())


def inputs(weights):
    """The channels that a file expects, and their normalisation."""
    mean, std = (', '.join(f'{value:g}' for value in part) for part in weights.normalization)
    known = NORMS.get(weights.normalization, f'mean {mean}, deviation {std}')
    return known if weights.channels == 'RGB' else f'{weights.channels}; {known}'


def files(name, page):
    """The weights of a class."""
    head = ('arch', 'file', 'top-1', 'pixels', 'arguments', 'inputs', 'licence', '')
    return table(
        head,
        *(
            file_row(arch, label, weights)
            for arch, labels in PUBLISHED[name].items()
            for label, weights in labels.items()
        ),
    )


def file_row(arch, label, weights):
    """A published file."""
    notes = [weights.note, '' if weights.is_direct else 'by a browser']
    notes = '; '.join(note for note in notes if note)
    return (
        arch,
        f'[{label}]({weights.url})',
        weights.figure,
        str(weights.size),
        f'`{as_code(weights.arguments)}`' if weights.arguments else '',
        inputs(weights),
        weights.licence,
        f'[source]({weights.source}) {notes}'.strip(),
    )


def names(page):
    """Names in timm and at Hugging Face."""
    rows = []
    for there in [*TIMM, *HUGGING_FACE]:
        known = find_name(there)
        arguments = dict(arch=known.arch) | known.weights.arguments
        text = as_code({key: repr(value) for key, value in arguments.items()})
        rows.append((f'`{there}`', f'`{known.name}({text})`', known.label))
    return table(('there', 'here', 'weights'), *rows)


def flops(name, arch):
    """The FLOPs of a published size for each of the usual images, in G."""
    with torch.device('meta'):
        net = MODELS.get(name)(arch).eval()
        images = [torch.empty(1, 3, *shape) for shape in SHAPES]
    return [f'{count(partial(net, image))["Global"] / 1e9:,.1f}' for image in images]


def sizes(page):
    """Every published size of every class."""
    about = link('weights', ROOT / 'mmbackbones/weights/README.md', page)
    costs = [f'G at {height} x {width}' for height, width in SHAPES]
    top1 = f'{about}, ImageNet-1K top-1 of their authors'
    rows = [('class', 'arch', 'parameters', *costs, 'channels', top1)]
    for name in FAMILIES:
        title = f'`{name}`'
        for arch, parameters, channels in describe(name):
            known = [f'{label} {figure}'.strip() for label, figure, _ in weights_of(name, arch)]
            known = ', '.join(known) or 'none published'
            rows.append((title, arch, parameters, *flops(name, arch), channels, known))
            title = ''
    return table(*rows)


def results(data, page):
    """The configs for a data set, by method and family, with what others report of them."""
    methods = defaultdict(partial(defaultdict, list))
    for name in CONFIGS:
        if DATA[config(name).train_dataloader.dataset.type] == data:
            method, family = NAME.fullmatch(name).group('method', 'family')
            methods[method][family].append(name)
    rows = [('method', 'backbone', 'results', 'configs', 'reported by')]
    for families in sorted(methods.values(), key=how_many, reverse=True):
        title = method_of(next(iter(families.values()))[0])
        for family in filter(families.get, BY_FILE):
            rows.append((title, *results_row(family, families[family], page)))
            title = ''
    return table(*rows)


def how_many(families):
    """The number of configs of a method."""
    return sum(map(len, families.values()))


def results_row(family, configs, page):
    """The configs of a method and a family."""
    reports = {name: find_report(name) for name in sorted(configs, key=by_size)}
    found = [report for report in reports.values() if report]
    metrics = dict.fromkeys(metric for report in found for metric in report.metrics)
    whose = dict.fromkeys(report.whose for report in found)
    cells = (config_cell(name, report, page) for name, report in reports.items())
    return (
        BY_FILE[family].title,
        ' / '.join(metrics),
        ', '.join(cells),
        '; '.join(f'[{who}]({SOURCES[who]})' for who in whose),
    )


def by_size(name):
    """What puts a small backbone before a large one."""
    size, order = NAME.fullmatch(name)['size'], list(ARCHS)
    return order.index(size) if size in order else len(order), name


def config_cell(name, report, page):
    """A link to a config, and its result."""
    size, schedule = NAME.fullmatch(name).group('size', 'schedule')
    label = f'{size} {schedule or ""}'.strip().replace('_', ' ')
    values = ' / '.join(map(str, report.metrics.values())) if report else ''
    return f'{link(label, ROOT / f"configs/{name}.py", page)} {values}'.strip()


def docstring(name):
    """What a config says of itself."""
    return ast.get_docstring(ast.parse((ROOT / f'configs/{name}.py').read_text()))


def method_of(name):
    """The method of a config as its docstring names it."""
    first = docstring(name).splitlines()[0]
    more = re.findall(r'\d scales|(?<= on COCO )\w+', first)
    return ', '.join([first.partition(' with ')[0], *more])


TABLES = {name: partial(files, name) for name in PUBLISHED}
TABLES |= dict(names=names, sizes=sizes)
TABLES |= {data: partial(results, data) for data in dict.fromkeys(DATA.values())}


def with_tables(page):
    """The text of a page with each of its tables anew."""
    return TABLE.sub(lambda found: found[1] + TABLES[found[2]](page), page.read_text())


def with_result(name):
    """The text of a config with its result anew; why there is none, is written by hand."""
    text, report = (ROOT / f'configs/{name}.py').read_text(), find_report(name)
    if report is None:
        return text
    line = f'Result: {report.figures}, reported by {report.whose}, not reproduced here.'
    return RESULT.sub(textwrap.fill(line, 100), text, count=1)


def metafile(family):
    """The metafile of a family."""
    row = BY_FILE[family]
    collection = {
        'Name': row.title,
        'Paper': {'Title': row.paper, 'URL': row.url},
        'Code': f'mmbackbones/models/{family}.py',
    }
    configs = [name for name in CONFIGS if NAME.fullmatch(name)['family'] == family]
    entries = [metafile_entry(name, row.title) for name in configs]
    return {'Collections': [collection], 'Models': entries}


def metafile_entry(name, collection):
    """A model of a metafile."""
    cfg, report = config(name), find_report(name)
    data = DATA[cfg.train_dataloader.dataset.type]
    entry = {
        'Name': name,
        'In Collection': collection,
        'Config': f'configs/{name}.py',
        'Metadata': {
            'Training Data': data,
            **length(cfg.train_cfg),
            'Batch Size': cfg.auto_scale_lr.base_batch_size,
            'Parameters': sum(p.numel() for p in model(name).parameters()),
        },
        'Weights': (report and report.url) or 'none/',
    }
    if report:
        entry['Metadata']['Reported By'] = f'{report.whose}; not reproduced here'
        entry['Results'] = by_task(report.metrics, data)
    return entry


def length(loop):
    """How long a config trains, in the unit that it counts."""
    if 'max_epochs' in loop:
        return {'Epochs': loop.max_epochs}
    return {'Iterations': loop.max_iters}


def by_task(metrics, data):
    """A result for each task, as model-index wants them."""
    tasks = defaultdict(dict)
    for name, value in metrics.items():
        tasks[TASKS[name]][name] = value
    return [dict(Task=task, Dataset=data, Metrics=values) for task, values in tasks.items()]


def index():
    """The list of metafiles."""
    return {'Import': [f'metafiles/{family}.yml' for family in BY_FILE]}


def as_yaml(content):
    """The text of a file of mim's."""
    return METAFILE + yaml.safe_dump(content, sort_keys=False, width=100)


def everything():
    """(path, text) of each file."""
    for page in PAGES:
        yield page, with_tables(page)
    for name in CONFIGS:
        yield ROOT / f'configs/{name}.py', with_result(name)
    yield ROOT / '.mim/model-index.yml', as_yaml(index())
    for family in BY_FILE:
        yield ROOT / f'.mim/metafiles/{family}.yml', as_yaml(metafile(family))


def main():
    """Write what differs, and say so."""
    for path, text in everything():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f'wrote {path.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
