"""What is wrong with the data of a config: one sentence for each fault, with file, found, expected.

mm builds the datasets, reads them and loads the images; what it then has, or fails with, is said in
a sentence. A `Finding` is a fault, which stops a training or spoils it; a note on what is left out
in silence, which may be meant; or what could not be looked at.
"""

import os
from collections import Counter
from itertools import chain, islice

from mmengine import fileio
from mmengine.registry import METRICS
from PIL import Image

from lib.class_checks import class_findings
from lib.coco_checks import coco_findings, scored_findings
from lib.datasets import (
    Finding,
    as_list,
    in_scope,
    instance_findings,
    missing,
    open_datasets,
    printable,
    there,
    type_name,
)
from mmbackbones.weights.errors import brief, some


def quick_findings(cfg, loaders, datasets=None):
    """What annotation files, names and numbers show without a look into an image."""
    datasets = open_datasets(cfg, loaders) if datasets is None else datasets
    readable = [opened for opened in datasets if not opened.error]
    parts = [
        *map(dataset_findings, datasets),
        class_findings(cfg, [opened for opened in datasets if opened.classes]),
        *(evaluator_findings(cfg, split, readable) for split in ('val', 'test')),
    ]
    yield from map(printable, chain.from_iterable(parts))


def dataset_findings(opened):
    """Why mm cannot read a dataset, or what of it is wrong."""
    dataset, error = opened.dataset, opened.error
    absent = isinstance(error, ImportError | RuntimeError) and not isinstance(error, RecursionError)
    foreign = isinstance(error, AttributeError | KeyError | TypeError)  # none of mm's, or no class
    if absent or (foreign and not hasattr(dataset, 'data_list')):
        yield opened.unseen(error)
    elif isinstance(error, OSError | AssertionError) and (lost := missing(opened)):
        yield lost
    else:
        coco = opened.coco or (error and hasattr(dataset, 'COCOAPI'))
        found = [*(coco_findings if coco else instance_findings)(opened)]
        if error and not any(each.is_fault for each in found):
            where = getattr(dataset, 'ann_file', '') or f'the data of {opened.loader}'
            reason = f'{type(error).__name__}: {brief(error)}'
            found.append(
                Finding(f'{where}: {type_name(opened.settings)} cannot read it ({reason})')
            )
        yield from found
        if not error:
            yield from file_findings(opened)


def file_findings(opened):
    """Images that are not where they should be or have another suffix, or that lack their map."""
    dataset, entries = opened.dataset, opened.dataset.data_list
    paths = [e['img_path'] for e in islice(entries, 20) if isinstance(e.get('img_path'), str)]
    reader = next(iter(opened.steps('LoadImage')), opened.settings)
    if paths and not any(there(path, reader) for path in paths):
        yield missing(opened) or Finding(
            f'{opened.loader}: there is no image {paths[0]}; set data_prefix and data_root'
        )
        return
    if hasattr(dataset, 'img_suffix') and not dataset.ann_file:
        yield from suffix_findings(opened)
    elif not entries and not opened.coco:
        yield Finding(f'{opened.loader}: {type_name(opened.settings)} has no image')
    if hasattr(dataset, 'img_suffix') and opened.steps('LoadAnnotations'):
        near = not opened.settings.get('backend_args')  # else a request for each
        maps = [each.get('seg_map_path') for each in (entries if near else entries[:20])]
        lacking = [str(path) for path in maps if not path or not there(path, opened.settings)]
        if lacking:
            yield Finding(
                f'{opened.loader}: {len(lacking)} of {len(maps)} images have no map '
                f'({some(lacking, 2)}); expected one of the same name, ending in '
                f'{dataset.seg_map_suffix}: see seg_map_suffix and data_prefix.seg_map_path'
            )


def suffix_findings(opened):
    """Images that `img_suffix` leaves out: all of a folder, which is a fault, or some."""
    dataset, folder = opened.dataset, opened.dataset.data_prefix['img_path']
    options = dict(list_dir=False, recursive=True, backend_args=opened.settings.get('backend_args'))
    ends = Counter(
        os.path.splitext(name)[1]
        for name in fileio.list_dir_or_file(folder, **options)
        if not name.endswith(dataset.img_suffix)
    )
    if dataset.data_prefix.get('seg_map_path') == folder:
        ends.pop(dataset.seg_map_suffix, None)
    images = Image.registered_extensions()
    left = some(f'{n} {end}' for end, n in ends.most_common() if end.lower() in images)
    if not dataset.data_list:
        yield Finding(
            f'{opened.loader}: {folder} has no image that ends in {dataset.img_suffix}, but '
            f'{left or "nothing"}; set img_suffix, or data_prefix.img_path to their folder'
        )
    elif left:
        suffix = f'img_suffix={dataset.img_suffix}'
        yield Finding(f'{opened.loader}: {folder} has {left}, which {suffix} leaves out', 'note')


def evaluator_findings(cfg, split, datasets):
    """An evaluator that reads another annotation file than its loader, or one that it misreads."""
    loader = f'{split}_dataloader'
    datasets = [each for each in datasets if each.loader == loader and each.dataset.ann_file]
    if not datasets or any('Panoptic' in type_name(each.settings) for each in datasets):
        return  # things are evaluated with a file of their own
    files = {os.path.realpath(each.dataset.ann_file): each.dataset.ann_file for each in datasets}
    wanted = f'{loader} reads {", ".join(files.values())}; set both to one file'
    for each in as_list(cfg.get(f'{split}_evaluator') or []):
        path = each.get('ann_file') if isinstance(each, dict) else None
        if path and not there(path, each):
            yield Finding(f'{split}_evaluator.ann_file: there is no {path}, and {wanted}')
        elif path and os.path.realpath(path) not in files:
            yield Finding(f'{split}_evaluator.ann_file is {path}, but {wanted}')
        elif path and scores_as_coco(each, cfg.get('default_scope')):
            yield from chain.from_iterable(map(scored_findings, datasets))


def scores_as_coco(evaluator, scope):
    """Whether the API of COCO scores against the file of an evaluator."""
    with in_scope(scope), METRICS.switch_scope_and_registry(None) as registry:
        kind = evaluator.type if isinstance(evaluator.type, type) else registry.get(evaluator.type)
    names = [each.__name__ for each in getattr(kind, '__mro__', ())]
    return 'CocoMetric' in names and not evaluator.get('format_only')
