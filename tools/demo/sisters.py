"""The demo set for mmpretrain (crops, a folder for each class) and mmrotate (rotated boxes)."""

import contextlib
import io
import tempfile
from pathlib import Path

import cv2
import numpy as np
from pycocotools.coco import COCO

from demo.scene import KINDS

CLASSES = sorted(kind.name for kind in KINDS)  # in the order of folders
METRICS = {'mmpretrain': dict(type='Accuracy', topk=1), 'mmrotate': dict(type='DOTAMetric')}
FOLDERS = {'mmpretrain': 'folders', 'mmrotate': 'dota'}


def write_sister_set(scope, root):
    """Write the demo set in a folder as a package reads it, unless that is done."""
    target = Path(root, FOLDERS[scope])
    if target.exists():
        return
    with tempfile.TemporaryDirectory(prefix='.sisters_', dir=root) as work:
        fresh = Path(work, 'new')
        for split in ('train', 'val'):
            with contextlib.redirect_stdout(io.StringIO()):
                coco = COCO(str(Path(root, f'coco/annotations/instances_{split}2017.json')))
            if scope == 'mmpretrain':
                for name in CLASSES:  # of few images, some have none
                    (fresh / split / name).mkdir(parents=True)
            for info in coco.loadImgs(coco.getImgIds()):
                notes = coco.loadAnns(coco.getAnnIds(info['id']))
                image = Path(root, f'coco/{split}2017', info['file_name'])
                named = [(coco.cats[note['category_id']]['name'], note) for note in notes]
                WRITERS[scope](coco, fresh / split, image, named)
        if not target.exists():  # by another process of this training
            fresh.rename(target)


def write_crop(coco, folder, path, notes):
    """Write the largest object of an image into the folder of its class."""
    if not notes:
        return
    name, note = max(notes, key=lambda each: each[1]['area'])
    x, y, width, height = map(round, note['bbox'])
    image = cv2.imread(str(path))[max(0, y - 4) : y + height + 4, max(0, x - 4) : x + width + 4]
    cv2.imwrite(str(folder / name / path.name), image)


def write_rotated(coco, folder, path, notes):
    """Write the smallest rotated boxes around the objects of an image, in DOTA's format."""
    lines = []
    for name, note in notes:
        points = np.argwhere(coco.annToMask(note))[:, ::-1].astype(np.float32)
        corners = cv2.boxPoints(cv2.minAreaRect(points)).ravel()
        lines.append(f'{" ".join(f"{x:.1f}" for x in corners)} {name.replace(" ", "-")} 0\n')
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path.with_suffix('.txt').name).write_text(''.join(lines))


WRITERS = {'mmpretrain': write_crop, 'mmrotate': write_rotated}


def as_sisters_read(scope, root, split):
    """The settings of the dataset and the metric of a split."""
    if scope == 'mmpretrain':
        dataset = dict(type='CustomDataset', data_root=f'{root}/folders', data_prefix=split)
    else:
        dataset = dict(
            type='DOTADataset',
            data_root=root,
            ann_file=f'dota/{split}/',
            data_prefix=dict(img_path=f'coco/{split}2017/'),
            img_suffix='jpg',
            metainfo=dict(classes=tuple(name.replace(' ', '-') for name in CLASSES)),
        )
    return dataset, dict(METRICS[scope])


def sister_pipeline(scope, training, size):
    """Loading, resizing and packing; of a training, flipping."""
    if scope == 'mmpretrain':
        steps = [dict(type='Resize', scale=(size // 2, size // 2))]
        flip, pack = dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')
    else:
        steps = [
            dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
            dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
            dict(type='mmdet.Resize', scale=(size, size), keep_ratio=True),
        ]
        ways = ['horizontal', 'vertical', 'diagonal']
        flip = dict(type='mmdet.RandomFlip', prob=0.75, direction=ways)
        keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
        pack = dict(type='mmdet.PackDetInputs', **({} if training else dict(meta_keys=keys)))
        if not training:  # scored at the size of the file
            steps = [steps[2], *steps[:2]]
    return [dict(type='LoadImageFromFile'), *steps, *([flip] if training else []), pack]
