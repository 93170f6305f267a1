"""What a file finds in pictures beside what mm's own prediction finds in them."""

import time
from contextlib import ExitStack, contextmanager

import cv2
import mmcv
import numpy as np
import torch
from rich.table import Table

from lib.flops import sample

SIZES = (320, 480), (333, 517), (480, 640), (97, 61)  # that pictures are made for or scaled into
# What a file may be off; mm's own boxes of RTMDet move by more if its input changes by 1e-6.
TOLERANCE = dict(boxes=5e-2, scores=1e-4, masks=1e-3, pixels=1e-3)  # pixels: the share that differs

UNITS = {  # of the columns of the table
    'finds': 'finds',
    'missing': 'missing',
    'extra': 'extra',
    'boxes': 'boxes, pixels',
    'scores': 'scores',
    'masks': 'masks',
    'pixels': 'share of pixels',
}


def pictures(paths, size):
    """Pictures (H, W, 3) in RGB for a comparison: of files, or one of shapes and noise.

    Args:
        paths: Files, scaled into the sizes, or none.
        size: The only size that is wanted, if only one is.
    """
    sizes = [size] if size else SIZES
    for height, width in sizes:
        for path in paths:
            image = mmcv.imread(str(path), channel_order='rgb')
            if size:
                yield mmcv.imresize(image, (width, height))
            else:
                yield mmcv.imrescale(image, (width, height))
        if not paths:
            yield shapes(height, width)


def shapes(height, width):
    """A picture of shapes and noise, the same each time."""
    random = np.random.default_rng(0)
    image = np.full((height, width, 3), 110, np.uint8)
    for _ in range(30):
        centre = random.integers((width, height)).tolist()
        colour, side = random.integers(256, size=3).tolist(), int(random.integers(3, 90))
        if side % 2:
            cv2.circle(image, centre, side // 2, colour, -1)
        else:
            cv2.rectangle(image, centre, (centre[0] + side, centre[1] + side // 2), colour, -1)
    noise = random.normal(0, 12, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


@contextmanager
def outputs_of(modules):
    """A list of what modules give while the context lasts."""
    seen = []
    with ExitStack() as ends:
        for module in modules:
            handle = module.register_forward_hook(lambda m, args, output: seen.append(output))
            ends.callback(handle.remove)
        yield seen


def expected(whole, image):
    """What mm predicts for a picture (H, W, 3) in RGB, named as the outputs of the file."""
    model = whole.model
    scope = 'mmseg' if hasattr(model, 'decode_head') else 'mmdet'
    padded = whole.picture.padded(image.shape[:2])  # mm's step fails where a picture is larger
    image = mmcv.impad(image, shape=tuple(padded), pad_val=(whole.picture.grey,) * 3)
    bgr = np.ascontiguousarray(image[..., ::-1])
    inputs = [torch.from_numpy(bgr).permute(2, 0, 1)]
    with torch.no_grad(), outputs_of(whole.mask_heads()) as masks:
        data = dict(inputs=inputs, data_samples=[sample(scope, image.shape[:2])])
        (found,) = model.test_step(data)
    if 'pred_panoptic_seg' in found:
        return dict(panoptic=found.pred_panoptic_seg.sem_seg[0].numpy())
    if 'pred_instances' not in found:
        return dict(classes=found.pred_sem_seg.data[0].numpy())
    found = found.pred_instances
    finds = dict(boxes=found.bboxes, scores=found.scores, labels=found.labels)
    if whole.masks == 'boxes':
        finds['masks'] = whole.masks_of(masks, found.labels)
    elif whole.masks == 'image':
        finds['masks'] = found.masks
    return {name: part.numpy() for name, part in finds.items()}


def difference(got, wanted):
    """A row of the table: how two results of a picture differ."""
    for name in ('classes', 'panoptic'):
        if name in wanted:
            same = got[name].shape == wanted[name].shape
            return dict(pixels=float((got[name] != wanted[name]).mean()) if same else 1.0)
    return of_finds(got, wanted)


def of_finds(got, wanted):
    """How finds differ, paired by class and the nearest box, score and mask.

    One may be missing or extra whose score is that of the last within the tolerance.
    """
    left, pairs, missing = list(range(len(got['scores']))), [], []
    for i in range(len(wanted['scores'])):
        near = [j for j in left if got['labels'][j] == wanted['labels'][i]]
        distances = [distance(got, j, wanted, i) for j in near]
        if distances and min(distances) <= 1:
            pairs.append((near[int(np.argmin(distances))], i))
            left.remove(pairs[-1][0])
        else:
            missing.append(i)
    row = dict(
        finds=len(wanted['scores']),
        missing=int(certain(wanted['scores'][missing], wanted['scores']).sum()),
        extra=int(certain(got['scores'][left], got['scores']).sum()),
    )
    for name in [name for name in ('boxes', 'scores', 'masks') if name in wanted]:
        apart = [np.abs(as_number(got[name][j]) - as_number(wanted[name][i])) for j, i in pairs]
        if name == 'masks' and wanted[name].dtype == bool:
            apart = [each.mean() for each in apart]
        row[name] = float(max((each.max() for each in apart), default=0))
    return row


def distance(got, j, wanted, i):
    """In pixels between boxes; scores and masks tell those apart that have the same box.

    Among random weights most queries of Mask2Former have the whole picture as their box.
    """
    apart = np.abs(got['boxes'][j] - wanted['boxes'][i]).max()
    apart += abs(got['scores'][j] - wanted['scores'][i])
    if 'masks' in wanted and apart <= 1:
        apart += np.abs(as_number(got['masks'][j]) - as_number(wanted['masks'][i])).mean()
    return apart


def as_number(values):
    """Truths as numbers."""
    return np.asarray(values, np.float32)


def certain(scores, all_scores):
    """Which scores are higher than the last that was found."""
    return scores > min(all_scores, default=0) + TOLERANCE['scores']


def compare(whole, read, paths=(), size=None, batch=None):
    """Yields (height, width), a row of differences, and the seconds of the file and of mm.

    Args:
        whole: The `WholeModel`.
        read: A function of a picture, or of several, that gives the outputs of the file.
        paths: Files of pictures; without any, pictures are made up.
        size: The only size that the file takes.
        batch: How many pictures it takes at a time, if it takes several.
    """
    for image in pictures(paths, size):
        start = time.perf_counter()
        wanted = expected(whole, image)
        between = time.perf_counter()
        given = torch.from_numpy(image if batch is None else np.stack([image] * batch))
        outputs = dict(zip(whole.output_names, map(np.asarray, read(given)), strict=True))
        seconds = time.perf_counter() - between, between - start
        if batch is not None:
            outputs = {name: output[-1] for name, output in outputs.items()}
        yield image.shape[:2], difference(outputs, wanted), seconds


def is_equal(row, half=False):
    """Whether a row is one of equal results; in half precision a twentieth may be others."""
    if half:
        most = max(1, 0.05 * row.get('finds', 0))
        return (
            max(row.get('missing', 0), row.get('extra', 0)) <= most and row.get('pixels', 0) < 0.02
        )
    within = all(row[name] <= most for name, most in TOLERANCE.items() if name in row)
    return within and not row.get('missing') and not row.get('extra')


def table(path, rows):
    """A table of the rows of a comparison, for the terminal."""
    shown = Table(title=f'{path} beside what mm predicts')
    names = [name for name in UNITS if any(name in row for _, row, _ in rows)]
    for column in ('height', 'width', *(UNITS[name] for name in names), 'seconds', 'of mm'):
        shown.add_column(column, justify='right')
    for size, row, seconds in rows:
        values = [f'{row[n]:.1e}' if isinstance(row[n], float) else str(row[n]) for n in names]
        shown.add_row(*map(str, size), *values, *(f'{each:.2f}' for each in seconds))
    return shown
