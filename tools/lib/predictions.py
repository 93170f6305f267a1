"""What models find, as JSON, and maps of classes as PNG."""

from pathlib import Path

import mmcv
import numpy as np


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
    """What is found in many images, for a file of JSON and a folder of maps beside it."""

    def __init__(self, file, classes):
        self.classes, self.images = dict(enumerate(classes)), []
        self.maps = Path(file).with_name(f'{Path(file).stem}_maps')

    def add(self, source, name, size, sample):
        """Keep what is found in an image of a size (height, width), and a map under a name."""
        rows = self.objects(sample.pred_instances) if 'pred_instances' in sample else []
        if 'pred_score' in sample:  # of a classifier, the likeliest class first
            scores = sample.pred_score.tolist()
            order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
            rows = [self.row(label, score=scores[label]) for label in order]
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
        name = self.classes.get(label, f'class {label}')
        return {'label': int(label), 'class': name, **values}

    def objects(self, found):
        """A row for each object, with its box and mask (RLE, as pycocotools reads it)."""
        found = found.numpy()
        if 'keypoints' in found:
            pairs = zip(found.keypoints, found.keypoint_scores, strict=True)
            return [dict(keypoints=p.tolist(), scores=s.tolist()) for p, s in pairs]
        rows = [
            self.row(label, score=float(score))
            for label, score in zip(found.labels, found.scores, strict=True)
        ]
        if 'bboxes' in found:
            boxes = getattr(found.bboxes, 'tensor', found.bboxes)
            for row, box in zip(rows, boxes, strict=True):
                row['bbox'] = box.tolist()
        if 'masks' in found:
            from mmdet.structures.mask import encode_mask_results

            for row, mask in zip(rows, encode_mask_results(found.masks), strict=True):
                row['mask'] = dict(mask, counts=mask['counts'].decode())
        return rows
