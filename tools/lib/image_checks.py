"""What is wrong with images and maps, as the first steps of a config's pipeline load them."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mmengine.registry import TRANSFORMS

from lib.datasets import Finding, in_scope, printable
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
                yield printable(Finding(text))
    yield from map(printable, unused_classes(opened, seen))


def look(opened, index, steps, seen):
    """A sentence about an image or its map, or None; the numbers of the map are added to `seen`."""
    entry = opened.dataset.get_data_info(index)
    info = dict(entry, instances=[])  # which are numbers, and looked at
    for step in steps:
        is_map = 'img' in info
        if is_map and not entry.get('seg_map_path'):
            break
        try:
            info = step(info)
            assert info is not None
        except Exception as error:  # whatever readers raise
            path = entry['seg_map_path' if is_map else 'img_path']
            return unreadable_image(path, error, step, is_map)
    found, stated = info['ori_shape'], (entry.get('height'), entry.get('width'))
    if None not in stated and tuple(found) != stated:
        source = entry.get('xml_path') or opened.dataset.ann_file
        return (
            f'{entry["img_path"]} is {sides(found)}, but {source} says {sides(stated)}; write the '
            f'real size, or turn the image'
        )
    return map_fault(info, opened, seen) if 'gt_seg_map' in info else None


def unreadable_image(path, error, step, is_map):
    """A sentence about an image or a map that a step of the pipeline failed at."""
    if is_map:
        return f'{path} is no map that can be read ({brief(error)}); expected one for its image'
    if isinstance(error, FileNotFoundError):
        return f'there is no image {path}; bring it, or remove it from the annotations'
    if os.path.isfile(path) and not os.path.getsize(path):
        return f'{path} is empty, expected an image; bring it anew'
    reader = getattr(step, 'imdecode_backend', type(step).__name__).replace('cv2', 'OpenCV')
    return f'{path} is no image that {reader} can read ({brief(error)}); bring it anew'


def sides(shape):
    """'640 x 480' for a (height, width)."""
    return ' x '.join(map(str, reversed(shape)))


def map_fault(info, opened, seen):
    """A sentence about the map of an image as it was loaded, or None."""
    dataset, labels, path = opened.dataset, info['gt_seg_map'], info['seg_map_path']
    size = tuple(info['ori_shape'])
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
    numbers = np.unique(labels).tolist()
    if not hasattr(dataset, 'img_suffix'):  # of mmdet, where a head has classes of its own for it
        return None
    seen.update(numbers)
    count, ignored = len(opened.classes), getattr(dataset, 'ignore_index', 255)
    first = int(bool(getattr(dataset, 'reduce_zero_label', False)))  # 0 is then unlabelled
    odd = [str(number + first) for number in numbers if number >= count and number != ignored]
    if count and odd:
        return (
            f'{path} has the numbers {some(odd)}, but classes are {first} to {count + first - 1}, '
            f'and {ignored} is ignored; renumber them, or see metainfo.classes and '
            f'reduce_zero_label'
        )
    return None


def unused_classes(opened, seen):
    """Classes that no map has: a fault if maps have nothing but 0 and what is ignored."""
    ignored = getattr(opened.dataset, 'ignore_index', 255)
    unused = [name for number, name in enumerate(opened.classes) if number not in seen]
    if seen and len(opened.classes) > 1 and ignored in seen and seen <= {0, ignored}:
        yield Finding(
            f'{opened.loader}: all maps have 0 and {ignored} alone, and {ignored} is ignored, so '
            f'that no pixel is of {some(unused)}; write the numbers of the classes into the maps'
        )
    elif seen and unused:
        yield Finding(f'{opened.loader}: no map has a pixel of {some(unused)}', 'note')
