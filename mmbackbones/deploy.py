"""Finds objects in pictures by a file of tools/export.py, without PyTorch and mm.

    from mmbackbones.deploy import Detector

    detector = Detector('mask_rcnn.onnx')
    found = detector('street.jpg')
    found['boxes'], found['scores'], found['labels'], found['names'], found['masks']

It needs numpy and an engine, onnxruntime or openvino; OpenCV or Pillow to read and draw pictures.
This file imports nothing of the package, so a copy of it works anywhere. From a shell:

    python -m mmbackbones.deploy mask_rcnn.onnx street.jpg --out found.jpg
"""

import argparse
import colorsys
import json
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

cv2: ModuleType | None = None
with suppress(ImportError):
    import cv2

OBJECTS = ('boxes', 'scores', 'labels', 'masks')  # outputs with a row for each
KEY, FORMAT = 'mmbackbones', 1  # of the description in a file
SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')  # in folders
INTERPOLATIONS = dict(nearest=0, bilinear=1, bicubic=2, area=3, lanczos=4)  # of OpenCV
PIXELS = 'an array (H, W, 3) of uint8, RGB'
WEIGHT = np.float32(2048)  # of two pixels together, as OpenCV counts it


class OnnxRuntime:
    """A function of pictures that onnxruntime runs: {name of an output: array}."""

    def __init__(self, path, device, threads, exact):
        import onnxruntime

        usual = 'CPUExecutionProvider'
        wanted = next(
            (name for name in onnxruntime.get_available_providers() if is_meant(device, name)), None
        )
        if wanted is None:
            raise ValueError(f'this onnxruntime has no device {device}')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        providers = list(dict.fromkeys([wanted, usual]))
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.description = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        self.names = [output.name for output in self.session.get_outputs()]
        self.rank = len(self.session.get_inputs()[0].shape)

    def __call__(self, image):
        return dict(zip(self.names, self.session.run(None, {'image': image}), strict=True))


class OpenVINO:
    """A function of pictures that OpenVINO runs: {name of an output: array}."""

    def __init__(self, path, device, threads, exact):
        import openvino

        core = openvino.Core()
        model = core.read_model(str(path))
        places = [KEY, 'metadata'], ['framework', KEY]  # of our own files, and of those from ONNX
        found = (model.get_rt_info(place) for place in places if model.has_rt_info(place))
        self.description = next((value.astype(str) for value in found), None)
        settings: dict[str, Any] = dict(PERFORMANCE_HINT='LATENCY')
        if exact:
            settings['INFERENCE_PRECISION_HINT'] = 'f32'  # else bfloat16 where there is some
        if threads:
            settings['INFERENCE_NUM_THREADS'] = threads
        self.compiled = core.compile_model(model, device.upper(), settings)
        self.names = [output.get_any_name() for output in self.compiled.outputs]
        self.rank = len(self.compiled.inputs[0].partial_shape)
        self.requests = threading.local()  # one can be run by one thread at a time

    def __call__(self, image):
        if not hasattr(self.requests, 'own'):
            self.requests.own = self.compiled.create_infer_request()
        values = self.requests.own.infer([image]).values()
        return dict(zip(self.names, (value.copy() for value in values), strict=True))


ENGINES = dict(onnxruntime=OnnxRuntime, openvino=OpenVINO)


def is_meant(device, provider):
    """Whether a provider of onnxruntime is for a device such as cpu, cuda or tensorrt."""
    return provider.lower() == f'{device.lower()}executionprovider'


def open_file(path, engine, device, threads, exact):
    """The engine with a file in it; one sentence if it cannot be opened."""
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}; tools/export.py writes one')
    kinds = {'.onnx': ['onnxruntime', 'openvino'], '.xml': ['openvino']}
    able = kinds.get(Path(path).suffix.lower())
    if able is None:
        raise ValueError(f'{path} ends neither in .onnx nor in .xml, so no engine runs it')
    if engine and engine not in able:
        raise ValueError(f'{path} cannot be run by {engine}; choose from {", ".join(able)}')
    for name in [engine] if engine else able:
        try:
            return ENGINES[name](path, device, threads, exact)
        except ImportError as error:
            missing = error
        except Exception as error:  # each engine has errors of its own
            raise ValueError(f'{name} cannot open {path}: {one_line(error)}') from error
    names = ' or '.join([engine] if engine else able)
    raise ImportError(f'{path} needs {names}, which is not installed: {missing}') from missing


def one_line(error):
    """The first line of an error's text, cut where it is long."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def described(path, text):
    """What tools/export.py says of a file in the file."""
    if not text:
        raise ValueError(
            f'{path} does not say what its inputs and outputs mean; write the whole model anew '
            f'with tools/export.py'
        )
    try:
        about = json.loads(text)
        number = about['format']
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'the description in {path} cannot be read; write it anew') from error
    if number > FORMAT:
        raise ValueError(
            f'{path} has format {number}, and this version of mmbackbones reads up to {FORMAT}; '
            f'update it'
        )
    return about


def read_picture(path: str | Path) -> np.ndarray:
    """A file as (H, W, 3), uint8, RGB, turned as its camera was held: what mm's loader reads."""
    content = np.fromfile(path, np.uint8)
    if cv2 is not None:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
        if image is None:
            raise ValueError(f'{path} is damaged or no picture that OpenCV reads')
        return image[..., ::-1]
    return read_by_pillow(path)


def read_by_pillow(path):
    """A picture without OpenCV."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        text = 'reading pictures needs OpenCV or Pillow: pip install opencv-python-headless'
        raise ImportError(text) from error
    try:
        with Image.open(path) as image:
            if image.mode.startswith(('I', 'F')):
                raise ValueError('pictures of more than 8 bits need OpenCV')
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f'{path} is damaged or no picture: {one_line(error)}') from error


def as_picture(picture: str | Path | np.ndarray) -> np.ndarray:
    """A picture from a path or an array, or one sentence on what is wrong with it."""
    if isinstance(picture, str | Path):
        return read_picture(picture)
    if not isinstance(picture, np.ndarray):
        raise TypeError(f'a picture is a path or {PIXELS}, not {type(picture).__name__}')
    found = f'an array {picture.shape} of {picture.dtype}'
    if picture.dtype != np.uint8:
        raise ValueError(f'a picture is {PIXELS}, and this is {found}: give numbers of 0 to 255')
    if picture.ndim == 2 or picture.shape[2:] == (1,):
        raise ValueError(f'a picture is {PIXELS}, and this is {found}: repeat the grey 3 times')
    if picture.shape[2:] == (4,):
        raise ValueError(f'a picture is {PIXELS}, and this is {found}: leave alpha out, [..., :3]')
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f'a picture is {PIXELS}, and this is {found}')
    return picture


def neighbours(count, wanted):
    """Between which two of `count` pixels each of the wanted ones lies, and the second's share."""
    centres = ((np.arange(wanted) + 0.5) * (1 / (wanted / count)) - 0.5).astype(np.float32)
    first = np.floor(centres).astype(np.int64)
    share = centres - first.astype(np.float32)
    return first.clip(0, count - 1), (first + 1).clip(0, count - 1), share


def resize_bytes(image, height, width):
    """An image (H, W, C) of uint8 in another size, to the bit as OpenCV's INTER_LINEAR."""
    if image.shape[:2] == (2 * height, 2 * width):  # OpenCV then takes the mean of four
        sums = image.reshape(height, 2, width, 2, -1).sum((1, 3), dtype=np.int32)
        return ((sums + 2) >> 2).astype(np.uint8)
    left, right, x = neighbours(image.shape[1], width)
    x = np.where(left == right, 0, x)
    top, bottom, y = neighbours(image.shape[0], height)
    x0, x1, y0, y1 = (np.rint(share * WEIGHT).astype(np.int32) for share in (1 - x, x, 1 - y, y))
    rows = image[:, left] * x0[:, None] + image[:, right] * x1[:, None] >> 4
    sums = (rows[top] * y0[:, None, None] >> 16) + (rows[bottom] * y1[:, None, None] >> 16)
    return ((sums + 2) >> 2).astype(np.uint8)


def resize(image, height, width, interpolation='bilinear'):
    """An image (H, W, C) of uint8 in another size, as mm resizes images."""
    if image.shape[:2] == (height, width):
        return image
    if cv2 is not None:
        kind = INTERPOLATIONS[interpolation]
        return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=kind)
    if interpolation != 'bilinear':
        raise ImportError(f'{interpolation} resizing needs OpenCV: pip install opencv-python')
    return resize_bytes(image, height, width)


def resize_scores(plane, height, width):
    """A map (H, W) of float32 in another size, bilinear."""
    if cv2 is not None:
        return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    left, right, x = neighbours(plane.shape[1], width)
    top, bottom, y = neighbours(plane.shape[0], height)
    rows = plane[top] * (1 - y[:, None]) + plane[bottom] * y[:, None]
    return rows[:, left] * (1 - x) + rows[:, right] * x


def resize_labels(labels, height, width):
    """A map (H, W) of numbers that have no mean in another size: each pixel takes the nearest."""
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(np.int64)
    return labels[rows[:, None], columns]


def interpolation_matrix(low, high, first, last, count):
    """(pixels, count): the weight of each of `count` cells from `low` to `high` in each pixel.

    Outside of the cells lies zero.
    """
    centres = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    with np.errstate(divide='ignore', invalid='ignore'):
        place = (centres - low) / (high - low) * 2 - 1
    place = np.where(np.isinf(place), np.float32(0), place)  # in a box without extent
    place = ((place + 1) * count - 1) / 2
    weights = 1 - np.abs(place[:, None] - np.arange(count, dtype=np.float32))
    return np.nan_to_num(weights).clip(0)


def paste(masks, boxes, height, width, threshold=0.5):
    """Masks (n, h, w) of boxes (n, 4), as masks (n, height, width) of a picture."""
    whole = np.zeros((len(masks), height, width), bool)
    for target, mask, (x0, y0, x1, y1) in zip(whole, masks, boxes, strict=True):
        left, top = (max(0, int(np.floor(side)) - 1) for side in (x0, y0))
        right, bottom = min(width, int(np.ceil(x1)) + 1), min(height, int(np.ceil(y1)) + 1)
        columns = interpolation_matrix(x0, x1, left, right, mask.shape[1])
        rows = interpolation_matrix(y0, y1, top, bottom, mask.shape[0])
        target[top:bottom, left:right] = rows @ mask @ columns.T >= threshold
    return whole


class Prepared(NamedTuple):
    """A picture as a file takes it, and how it got so."""

    image: np.ndarray
    inner: tuple[int, int]  # height and width of the picture in it
    size: tuple[int, int]  # height and width of the picture itself


class Model:
    """What a file of tools/export.py finds in pictures, in their own pixels.

    Args:
        path: A file .onnx, or .xml of OpenVINO with its .bin beside it.
        engine: `onnxruntime` or `openvino` [the first of them that runs the file].
        device: Of the engine: cpu, cuda, gpu, npu.
        threads: Of the engine; 0 lets it choose.
        exact: Compute in float32, where OpenVINO would take bfloat16 if the processor has it.
    """

    tasks: tuple[str, ...] = ()

    def __init__(
        self,
        path: str | Path,
        *,
        engine: str | None = None,
        device: str = 'cpu',
        threads: int = 0,
        exact: bool = True,
    ) -> None:
        self.run = open_file(path, engine, device, threads, exact)
        self.about = described(path, self.run.description)
        self.classes: list[str] = list(self.about['classes'])
        self.palette = self.about.get('palette') or []
        task = self.about['task']
        if self.tasks and task not in self.tasks:
            other = 'Segmenter' if task == 'semantic' else 'Detector'
            raise ValueError(f'{path} holds a model for {task} tasks; use {other}')

    def __call__(self, pictures: Any, score_threshold: float = 0) -> Any:
        """What is found in a picture, a dict; or of many: a list for a list, a dict for a folder.

        Args:
            pictures: A path, or an array (H, W, 3) of uint8, RGB; a list of such, or a folder.
            score_threshold: Leave out what has a lower score.
        """
        if is_folder(pictures):
            return dict(self.each(pictures, score_threshold))
        if isinstance(pictures, list | tuple):
            return [found for _, found in self.each(pictures, score_threshold)]
        return next(self.find([(pictures, self.prepare(pictures))], score_threshold))[1]

    def each(
        self, pictures: Any, score_threshold: float = 0, workers: int = 2
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """(picture, what is found) one after another, of a folder or of anything to iterate over.

        Threads read pictures while the engine runs. Damaged files of a folder are passed over with
        a warning.
        """
        skip = is_folder(pictures)
        group: list[tuple[Any, Prepared]] = []
        size = self.about.get('batch', 1) if self.run.rank == 4 else 1
        for picture, prepared in self.prepared(paths(pictures), workers, skip):
            is_other = group and prepared.image.shape != group[0][1].image.shape
            if is_other or len(group) == size:
                yield from self.find(group, score_threshold)
                group = []
            group.append((picture, prepared))
        if group:
            yield from self.find(group, score_threshold)

    def prepared(self, pictures: Iterable, workers: int, skip: bool) -> Iterator:
        """Each picture and how the file takes it; threads are a few pictures ahead."""
        waiting: deque = deque()
        with ThreadPoolExecutor(workers) as pool:
            for picture in pictures:
                waiting.append((picture, pool.submit(self.prepare, picture)))
                if len(waiting) > 2 * workers:
                    yield from result(waiting.popleft(), skip)
            while waiting:
                yield from result(waiting.popleft(), skip)

    def prepare(self, picture: Any) -> Prepared:
        """A picture in the size that the file is for, resized as the config's pipeline does it."""
        image = as_picture(picture)
        rows, columns = image.shape[:2]
        size, settings = self.about.get('size'), self.about['resize']
        scale, factor = settings.get('scale'), None
        if size and settings['keep_ratio']:
            factor = min(size[0] / rows, size[1] / columns)
        elif size:
            rows, columns = size
        elif scale and settings['keep_ratio']:
            long, short = max(scale), min(scale)
            factor = min(long / max(rows, columns), short / min(rows, columns))
        elif scale:
            columns, rows = scale
        if factor is not None:
            rows, columns = (max(1, int(side * factor + 0.5)) for side in (rows, columns))
        small = resize(image, rows, columns, settings.get('interpolation', 'bilinear'))
        if size:
            small = self.padded(small, *size)
        return Prepared(np.ascontiguousarray(small), (rows, columns), image.shape[:2])

    def padded(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        """An image with the colour that means zero below and right of it."""
        if image.shape[:2] == (height, width):
            return image
        colour = self.about['mean'][:: 1 if self.about['channels'] == 'rgb' else -1]
        whole = np.empty((height, width, 3), np.uint8)
        whole[:] = np.rint(colour).clip(0, 255)
        whole[: image.shape[0], : image.shape[1]] = image
        return whole

    def find(self, group: list, score_threshold: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        """(picture, what is found) of prepared pictures of one size that go in together."""
        images = [prepared.image for _, prepared in group]
        if self.run.rank == 3:
            outputs = [self.run(image) for image in images]
        else:
            room = self.about.get('batch', 1)
            found = self.run(np.stack([*images, *images[-1:] * (room - len(images))]))
            outputs = [{name: value[i] for name, value in found.items()} for i in range(len(group))]
        for (picture, prepared), output in zip(group, outputs, strict=True):
            yield picture, self.finish(output, prepared, score_threshold)

    def finish(self, output: dict, prepared: Prepared, score_threshold: float) -> dict[str, Any]:
        """The outputs of the file in the picture's own pixels."""
        found: dict[str, Any] = {}
        if 'boxes' in output:
            keep = output['scores'] >= score_threshold
            kept = {name: output[name][keep] for name in OBJECTS if name in output}
            found = dict(kept, boxes=self.own_boxes(kept['boxes'], prepared))
            found['names'] = self.names(found['labels'])
            if 'masks' in found:
                found['masks'] = self.own_masks(found['masks'], found['boxes'], prepared)
        if 'panoptic' in output:
            found['panoptic'] = self.own_labels(output['panoptic'], prepared)
            found['segments'] = output['segments']
            found.setdefault('names', self.names(output['segments'][:, 1]))
        if 'classes' in output:
            found['classes'] = self.own_classes(output, prepared)
            found['labels'] = np.unique(found['classes'])
            found['names'] = self.names(found['labels'])
        return found

    def own_boxes(self, boxes: np.ndarray, prepared: Prepared) -> np.ndarray:
        """Boxes in the picture's own pixels."""
        (height, width), (rows, columns) = prepared.inner, prepared.size
        if self.about.get('size'):  # where no mm does it
            boxes = boxes.clip(0, np.array([width, height, width, height], boxes.dtype))
        return boxes / np.array([width / columns, height / rows] * 2, np.float32)

    def own_masks(self, masks: np.ndarray, boxes: np.ndarray, prepared: Prepared) -> np.ndarray:
        """Masks (n, H, W) of the picture itself."""
        if self.about['masks'] == 'boxes':
            threshold = self.about.get('mask_threshold', 0.5)
            height, width = prepared.size
            return paste(masks, boxes, height, width, threshold)
        (height, width), whole = prepared.inner, np.empty((len(masks), *prepared.size), bool)
        for target, mask in zip(whole, masks, strict=True):
            inner = mask[:height, :width].astype(np.float32)
            target[:] = resize_scores(inner, *prepared.size) >= 0.5
        return whole

    def own_labels(self, labels: np.ndarray, prepared: Prepared) -> np.ndarray:
        """A map of numbers in the size of the picture itself."""
        height, width = prepared.inner
        return resize_labels(labels[:height, :width], *prepared.size)

    def own_classes(self, output: dict[str, Any], prepared: Prepared) -> np.ndarray:
        """The class of each pixel of the picture itself."""
        scores, (height, width) = output.get('scores', ()), prepared.inner
        if len(scores) < 2 or prepared.inner == prepared.size:
            return self.own_labels(output['classes'], prepared)
        return best_classes(scores[:, :height, :width], *prepared.size)

    def names(self, labels: Iterable) -> list[str]:
        """The classes of labels."""
        known = dict(enumerate(self.classes))
        return [known.get(int(label), f'class {label}') for label in labels]

    def colour(self, label: int) -> tuple[int, ...]:
        """The colour of a class, RGB: the dataset's, or one by its number."""
        if label < len(self.palette):
            return tuple(self.palette[label])
        return tuple(int(255 * part) for part in colorsys.hsv_to_rgb(label * 0.618 % 1, 0.8, 1))

    def draw(
        self, picture: Any, found: dict[str, Any], alpha: float = 0.5, score_threshold: float = 0
    ) -> np.ndarray:
        """A picture (H, W, 3), RGB, with what was found in it; needs Pillow."""
        image = as_picture(picture).copy()
        if score_threshold and 'boxes' in found:
            keep = found['scores'] >= score_threshold
            found = found | {name: found[name][keep] for name in OBJECTS if name in found}
            found['names'] = self.names(found['labels'])
        for pixels, label in regions_of(found):
            mixed = (1 - alpha) * image[pixels] + alpha * np.array(self.colour(label))
            image[pixels] = np.rint(mixed)
        return self.draw_boxes(image, found) if 'boxes' in found else image

    def draw_boxes(self, image: np.ndarray, found: dict[str, Any]) -> np.ndarray:
        """An image with boxes, names and scores, the best last."""
        from PIL import Image, ImageDraw

        picture = Image.fromarray(image)
        pen, side = ImageDraw.Draw(picture), min(picture.size)
        thick, letters = max(1, side // 160), max(10, side // 40)
        for (x0, y0, x1, y1), score, label, name in reversed(list(boxes_of(found))):
            colour = self.colour(label)
            pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=thick)
            text, corner = f'{name} {score:.2f}', (x0 + thick, y0 + thick)
            pen.rectangle(pen.textbbox(corner, text, font_size=letters), fill=colour)
            ink = 'black' if sum(colour) > 380 else 'white'
            pen.text(corner, text, fill=ink, font_size=letters)
        return np.asarray(picture)


class Detector(Model):
    """Boxes, scores, labels, names and masks of objects, from a file of tools/export.py.

    `boxes` (n, 4) are left, top, right, bottom; `masks` (n, H, W) are bool. A panoptic file has
    `panoptic` (H, W), label + 1000 * number of the object, and `segments` (n, 3) with value, label
    and score of each. Arguments are those of `Model`.
    """

    tasks = ('detection', 'instance', 'panoptic')


class Segmenter(Model):
    """The class of each pixel, from a file of tools/export.py.

    `classes` (H, W) of uint8 are numbers of classes, `labels` and `names` those that occur. A file
    with `--scores` gives mm's own maps to the pixel; others lose a pixel at some borders, where
    the picture is not in the size of the file. Arguments are those of `Model`.
    """

    tasks = ('semantic',)


def regions_of(found):
    """(pixels, label) of everything that covers pixels, the best last."""
    for value, label, _ in found.get('segments', ()):
        yield found['panoptic'] == value, int(label)
    if 'masks' in found:
        for mask, label in reversed(list(zip(found['masks'], found['labels'], strict=True))):
            yield mask, int(label)
    if 'classes' in found:
        for label in found['labels']:
            yield found['classes'] == label, int(label)


def boxes_of(found):
    """(box, score, label, name) of each object."""
    keys = ('boxes', 'scores', 'labels', 'names')
    if 'boxes' in found:
        for box, score, label, name in zip(*(found[key] for key in keys), strict=True):
            yield box.tolist(), float(score), int(label), name


def best_classes(scores, height, width):
    """The class with the best score of each pixel in another size, one class after another."""
    best = resize_scores(scores[0], height, width)
    classes = np.zeros((height, width), np.uint8 if len(scores) <= 256 else np.int64)
    for label, plane in enumerate(scores[1:], 1):
        plane = resize_scores(plane, height, width)
        is_better = plane > best
        classes[is_better], best[is_better] = label, plane[is_better]
    return classes


def is_folder(pictures):
    """Whether this is the path of a folder."""
    return isinstance(pictures, str | Path) and Path(pictures).is_dir()


def paths(pictures):
    """The pictures below a folder, or what is given."""
    if not is_folder(pictures):
        return [pictures] if isinstance(pictures, str | Path | np.ndarray) else pictures
    files = sorted(Path(pictures).rglob('*'))
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not found:
        raise FileNotFoundError(f'{pictures} holds no pictures ({" ".join(SUFFIXES)})')
    return found


def result(entry, skip):
    """(picture, what a thread made of it), or nothing if it failed and may be passed over."""
    picture, future = entry
    try:
        yield picture, future.result()
    except (OSError, ValueError) as error:
        if not skip:
            raise
        warnings.warn(f'passed over: {error}', stacklevel=4)


def lines(model, found):
    """What was found, for a terminal: the best first."""
    for box, score, _, name in boxes_of(found):
        yield f'{name} {score:.3f}  {" ".join(f"{side:.1f}" for side in box)}'
    if 'panoptic' in found:
        for (_, _, score), name in zip(found['segments'], found['names'], strict=True):
            yield f'{name} {score:.3f}'
    if 'classes' in found:
        counts = np.bincount(found['classes'].ravel(), minlength=256)
        for label in sorted(found['labels'], key=lambda each: -counts[each]):
            yield f'{model.names([label])[0]} {counts[label] / found["classes"].size:.1%}'


def write_picture(path, image):
    """Write a picture (H, W, 3), RGB."""
    from PIL import Image

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def target_of(picture, source, out):
    """Where the picture of a picture goes: into a folder, as it lies below its own, or a file."""
    if not is_folder(source):
        return Path(out)
    return Path(out, Path(picture).relative_to(source)).with_suffix('.jpg')


def main(arguments=None):
    """Find what is in pictures, from a shell."""
    parser = argparse.ArgumentParser('python -m mmbackbones.deploy', description=main.__doc__)
    parser.add_argument('file', help='a file .onnx or .xml of tools/export.py')
    parser.add_argument('picture', help='a picture, or a folder with all below it')
    parser.add_argument('--out', help='draw into this picture, or folder for a folder')
    parser.add_argument('--score-thr', type=float, default=0.3, help='[0.3]')
    parser.add_argument('--engine', choices=ENGINES, help='[the first that runs the file]')
    parser.add_argument('--device', default='cpu', help='of the engine: cpu, cuda, gpu, npu [cpu]')
    parser.add_argument('--threads', type=int, default=0, help='of the engine [it chooses]')
    args = parser.parse_args(arguments)
    if (
        args.out
        and is_folder(args.picture)
        and is_folder(args.out)
        and Path(args.out).samefile(args.picture)
    ):
        parser.error(f'--out {args.out} would write over pictures; choose another folder')
    try:
        settings = dict(engine=args.engine, device=args.device, threads=args.threads)
        model = Model(args.file, **settings)
        for picture, found in model.each(args.picture, args.score_thr):
            title = [f'{picture}'] if is_folder(args.picture) else []
            sys.stdout.write('\n'.join([*title, *lines(model, found)]) + '\n')
            if args.out:
                drawn = model.draw(picture, found)
                write_picture(target_of(picture, args.picture, args.out), drawn)
    except (ImportError, OSError, TypeError, ValueError) as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
