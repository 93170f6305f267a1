"""What is wrong with the data of a config: one sentence for each fault, with file, found, expected.

mm builds the datasets, reads them and loads the images; what it then has, or fails with, is said in
a sentence. A `Finding` is a fault, which stops a training or spoils it; a note on what is left out
in silence, which may be meant; or what could not be looked at.
"""

import os
from collections import Counter

from mmengine import fileio
from mmengine.registry import METRICS

from lib.class_checks import class_findings
from lib.coco_checks import coco_findings, instance_findings, scored_findings
from lib.datasets import Finding, as_list, exists, missing_file, type_name
from mmbackbones.weights.errors import shorten_list, truncate


def quick_findings(cfg, datasets):
    """What annotation files, names and numbers show without a look into an image."""
    for opened in datasets:
        yield from dataset_findings(opened)
    yield from class_findings(cfg, [opened for opened in datasets if opened.classes])
    readable = [opened for opened in datasets if not opened.error]
    for split in ('val', 'test'):
        yield from evaluator_findings(cfg, split, readable)


def dataset_findings(opened):
    """Why mm cannot read a dataset, or what of it is wrong."""
    error = opened.error
    not_mm = not hasattr(opened.dataset, 'data_list')  # not built, or of another library
    absent = isinstance(error, ImportError | RuntimeError) and not isinstance(error, RecursionError)
    if not_mm or absent:
        yield opened.unseen(error or 'no dataset of mmengine')
        return
    if isinstance(error, OSError | AssertionError) and (lost := missing_file(opened)):
        yield lost
        return
    found = list(coco_findings(opened) if opened.coco else instance_findings(opened))
    yield from found
    if not error:
        yield from file_findings(opened)
    elif not any(each.is_fault for each in found):
        reason = f'{type(error).__name__}: {truncate(error)}'
        yield Finding(f'{opened.source}: {type_name(opened.settings)} cannot read it ({reason})')


def file_findings(opened):
    """Images that are not where they should be or have another suffix, or that lack their map."""
    dataset, entries = opened.dataset, opened.dataset.data_list
    paths = [entry.get('img_path') for entry in entries[:20]]
    paths = [path for path in paths if isinstance(path, str)]
    reader = next(iter(opened.steps('LoadImage')), opened.settings)
    if paths and not any(exists(path, reader) for path in paths):
        yield missing_file(opened) or Finding(
            f'{opened.loader}: there is no image {paths[0]}; set data_prefix and data_root'
        )
        return
    # A dataset of mmseg: some of mmdet have the one, and mmrotate's the other.
    has_maps = hasattr(dataset, 'img_suffix') and hasattr(dataset, 'seg_map_suffix')
    if has_maps and not dataset.ann_file:
        yield from suffix_findings(opened)
    elif entries and 'keypoints' in entries[0]:
        yield opened.unseen('no check for keypoints')
    elif not entries and not opened.coco:
        yield Finding(f'{opened.loader}: {type_name(opened.settings)} has no image')
    if has_maps and opened.steps('LoadAnnotations'):
        if opened.settings.get('backend_args'):
            entries = entries[:20]  # each is a request
        maps = [entry.get('seg_map_path') for entry in entries]
        lacking = [str(path) for path in maps if not path or not exists(path, opened.settings)]
        if lacking:
            yield Finding(
                f'{opened.loader}: {len(lacking)} of {len(maps)} images have no map '
                f'({shorten_list(lacking, 2)}); expected one of the same name, ending in '
                f'{dataset.seg_map_suffix}: see seg_map_suffix and data_prefix.seg_map_path'
            )


def suffix_findings(opened):
    """Files among the images that `img_suffix` leaves out: a fault if that leaves nothing."""
    dataset, folder = opened.dataset, opened.dataset.data_prefix['img_path']
    suffix, backend_args = dataset.img_suffix, opened.settings.get('backend_args')
    options = dict(list_dir=False, recursive=True, backend_args=backend_args)
    files = fileio.list_dir_or_file(folder, **options)
    ends = Counter(os.path.splitext(name)[1] for name in files if not name.endswith(suffix))
    left_out = shorten_list(f'{count} {end}' for end, count in ends.most_common())
    if not dataset.data_list:
        yield Finding(
            f'{opened.loader}: {folder} has no image that ends in {suffix}, but '
            f'{left_out or "nothing"}; set img_suffix, or data_prefix.img_path to their folder'
        )
    elif left_out:
        text = f'{opened.loader}: {folder} has {left_out}, which img_suffix={suffix} leaves out'
        yield Finding(text, 'note')


def evaluator_findings(cfg, split, datasets):
    """An evaluator that reads another annotation file than its loader, or one that it misreads."""
    loader = f'{split}_dataloader'
    datasets = [each for each in datasets if each.loader == loader and each.dataset.ann_file]
    if not datasets or any('Panoptic' in type_name(each.settings) for each in datasets):
        return  # things are evaluated with a file of their own
    files = {os.path.realpath(each.dataset.ann_file): each.dataset.ann_file for each in datasets}
    for each in as_list(cfg.get(f'{split}_evaluator') or []):
        path = each.get('ann_file') if isinstance(each, dict) else None
        if path and os.path.realpath(path) not in files:
            yield Finding(
                f'{split}_evaluator.ann_file is {path}, but {loader} reads '
                f'{", ".join(files.values())}; set both to one file'
            )
        elif path and scores_as_coco(each, cfg.get('default_scope')):
            for opened in datasets:
                yield from scored_findings(opened)


def scores_as_coco(evaluator, scope):
    """Whether the API of COCO scores against the file of an evaluator."""
    kind = evaluator.type
    if isinstance(kind, str):
        with METRICS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(kind)
    names = [each.__name__ for each in getattr(kind, '__mro__', ())]
    return 'CocoMetric' in names and not evaluator.get('format_only')
