"""What is wrong with images and maps, as the first steps of a config's pipeline load them."""

from concurrent.futures import ThreadPoolExecutor

import mmcv
import numpy as np
from mmcv.transforms import LoadAnnotations
from mmengine import fileio
from mmengine.registry import TRANSFORMS

from lib.datasets import Finding, in_scope
from mmbackbones.weights.errors import brief, some


def image_findings(opened, scope, progress):
    """What the images and maps of a dataset show, read by the first steps of its pipeline."""
    entries = getattr(opened.dataset, 'data_list', ())
    if opened.error or not entries:
        return  # which the quick look says
    try:
        with in_scope(scope):
            steps = [TRANSFORMS.build(dict(step)) for step in opened.steps('Load')]
    except Exception as error:  # whatever a constructor raises
        yield opened.unseen(error)
        return
    if not steps or not isinstance(entries[0].get('img_path'), str):
        yield opened.unseen('its pipeline has no step that loads an image')
        return
    seen = set()
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda index: look(opened, index, steps, seen), range(len(entries)))
        for text in progress(found, f'{opened.loader}: images', total=len(entries)):
            if text:
                yield Finding(text)
    ignored = getattr(opened.dataset, 'ignore_index', 255)
    if len(opened.classes) > 1 and ignored in seen and seen <= {0, ignored}:
        yield Finding(
            f'{opened.loader}: all maps have 0 and {ignored} alone, and {ignored} is ignored, so '
            f'that no pixel is of {some(opened.classes[1:])}; write the numbers of the classes'
        )


def look(opened, index, steps, seen):
    """A sentence about an image or its map, or None; the numbers of the map are added to `seen`."""
    entry = opened.dataset.get_data_info(index)
    info = dict(entry, instances=[])  # which are numbers, and looked at
    path = entry['img_path']
    for step in steps:
        try:
            info = step(info)
            assert info is not None
        except Exception as error:  # whatever readers raise
            return f'{path}: {type(step).__name__} cannot read it ({brief(error)}); bring it anew'
        path = entry.get('seg_map_path')
        if not path:
            break
    found, stated = info['ori_shape'], (entry.get('height'), entry.get('width'))
    if None not in stated and tuple(found) != stated:
        source = entry.get('xml_path') or opened.source
        return (
            f'{entry["img_path"]} is {sides(found)}, but {source} says {sides(stated)}; write the '
            f'real size, or turn the image'
        )
    return map_fault(info, opened, steps[-1], seen) if 'gt_seg_map' in info else None


def sides(shape):
    """'640 x 480' for a (height, width)."""
    return ' x '.join(map(str, reversed(shape)))


def map_fault(info, opened, step, seen):
    """A sentence about the map of an image as a step of the pipeline loaded it, or None."""
    labels, path, size = info['gt_seg_map'], info['seg_map_path'], tuple(info['ori_shape'])
    if labels.ndim > len(size):
        return (
            f'{path} has {labels.shape[-1]} channels, expected one with a class number for each '
            f'pixel; convert its colours to numbers'
        )
    if labels.shape != size:
        return (
            f'{path} is {sides(labels.shape)}, but its image {info["img_path"]} is {sides(size)}; '
            f'they must have one size'
        )
    if not hasattr(opened.dataset, 'img_suffix'):  # of mmdet, whose heads for it have other classes
        return None
    if labels.dtype == np.uint8 and isinstance(step, LoadAnnotations):  # whatever the file has
        content = fileio.get(path, backend_args=step.backend_args)
        highest = mmcv.imfrombytes(content, 'unchanged', backend=step.imdecode_backend).max()
        if highest > 255:
            return f'{path} has numbers up to {highest}, of which mm keeps 8 bits; renumber them'
    numbers = np.unique(labels).tolist()
    seen.update(numbers)
    count, ignored = len(opened.classes), getattr(opened.dataset, 'ignore_index', 255)
    first = int(bool(getattr(opened.dataset, 'reduce_zero_label', False)))  # 0 is then unlabelled
    odd = [str(number + first) for number in numbers if number >= count and number != ignored]
    if count and odd:
        return (
            f'{path} has the numbers {some(odd)}, but classes are {first} to {count + first - 1}, '
            f'and {ignored} is ignored; renumber them, or see metainfo.classes and '
            f'reduce_zero_label'
        )
    return None
