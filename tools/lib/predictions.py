"""What models find, as JSON or CSV, and maps of classes as PNG."""

import csv
from pathlib import Path

import mmcv
import numpy as np
from mmengine.fileio import dump

CORNERS = ('x1', 'y1', 'x2', 'y2')
# Of a CSV file; `bbox` is for boxes that are not four numbers, such as rotated ones.
COLUMNS = ('image', 'label', 'class', 'score', *CORNERS, 'bbox', 'pixels', 'share', 'map')


def class_map(sample):
    """The class of each pixel (H, W) that a data sample predicts, or None if it predicts none."""
    found = sample.get('pred_panoptic_seg', sample.get('pred_sem_seg'))
    if found is None:
        return None
    numbers = next(iter(found.numpy().values()))[0]
    if 'pred_panoptic_seg' in sample:
        from mmdet.evaluation import INSTANCE_OFFSET

        numbers = numbers % INSTANCE_OFFSET
    return numbers


def write_map(numbers, path):
    """Write a map of classes as a PNG, of 16 bits if it needs them."""
    mmcv.imwrite(numbers.astype(np.uint8 if numbers.max() < 256 else np.uint16), str(path))


class Predictions:
    """What is found in many images, for a file of JSON or CSV, and a folder of maps beside it."""

    def __init__(self, file, classes):
        self.file, self.classes, self.images = Path(file), classes or (), []
        self.maps = self.file.with_name(f'{self.file.stem}_maps')

    def add(self, source, name, size, sample):
        """Keep what is found in an image of a size (height, width), and a map under a name."""
        rows = [*self.objects(sample.pred_instances)] if 'pred_instances' in sample else []
        entry = dict(image=str(source), height=size[0], width=size[1], predictions=rows)
        numbers = class_map(sample)
        if numbers is not None:
            path = (self.maps / name).with_suffix('.png')
            write_map(numbers, path)
            for label, count in zip(*np.unique(numbers, return_counts=True), strict=True):
                rows.append(self.row(label, pixels=int(count), share=float(count / numbers.size)))
            entry['map'] = str(path)
        self.images.append(entry)

    def row(self, label, **values):
        """A class by number and name, and values of it."""
        known = label < len(self.classes)
        name = self.classes[label] if known else f'class {label}'
        return {'label': int(label), 'class': name, **values}

    def objects(self, found):
        """A row for each object, with its box and mask (RLE, as pycocotools reads it)."""
        found = found.numpy()
        columns = {}
        if 'bboxes' in found:
            columns['bbox'] = getattr(found.bboxes, 'tensor', found.bboxes).tolist()
        if 'masks' in found:
            from mmdet.structures.mask import encode_mask_results

            masks = encode_mask_results(found.masks)
            columns['mask'] = [dict(mask, counts=mask['counts'].decode()) for mask in masks]
        for index, (label, score) in enumerate(zip(found.labels, found.scores, strict=True)):
            values = {name: column[index] for name, column in columns.items()}
            yield self.row(label, score=float(score), **values)

    def write(self):
        """Write the file: in JSON by image, in CSV a line for each object or class."""
        if self.file.suffix == '.json':
            return dump(self.images, self.file, indent=1)
        with self.file.open('w', newline='', encoding='utf-8', errors='backslashreplace') as file:
            table = csv.DictWriter(file, COLUMNS, extrasaction='ignore')
            table.writeheader()
            for entry in self.images:
                for row in entry['predictions']:
                    if len(row.get('bbox', ())) == len(CORNERS):
                        row = row | dict(zip(CORNERS, row['bbox'], strict=True), bbox='')
                    table.writerow(entry | row)
