"""What the tools that draw share: the pipeline and visualizer of a config, names of pictures."""

import inspect
import os
import sys
import warnings
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from uuid import uuid4

import cv2
import numpy as np
from mmcv.transforms import LoadAnnotations
from mmengine.registry import VISUALIZERS, init_default_scope
from mmengine.visualization import Visualizer

from lib.arguments import check_folder, import_quietly
from lib.datasets import as_list
from lib.run_config import read_config
from lib.usage import UsageError, usage_errors
from mmbackbones.weights.errors import truncate

KINDS = {'mmdet': 'DetLocalVisualizer', 'mmseg': 'SegLocalVisualizer'}  # of configs without one


def read_config_with_data(args, phase='test'):
    """The config of the arguments, which must have data for a phase."""
    cfg = read_config(args)
    if not (cfg.get(f'{phase}_dataloader') or {}).get('dataset'):
        raise UsageError(f'{args.config} has no {phase}_dataloader with a dataset')
    return cfg


def use_scope_of(cfg):
    """Let mm look for classes in the scope of a config, in this whole process."""
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    import_quietly(cfg.get('default_scope'))


def build_part(registry, settings, name):
    """What a registry of mm builds; a `UsageError` if mm does not know its class."""
    with usage_errors(ImportError, KeyError, about=name):
        return registry.build(settings)


def pipelines(dataset):
    """The pipelines of the datasets in a dataset, which may wrap others."""
    inside = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inside == [None]:
        return [dataset.pipeline]
    return [pipeline for each in inside for pipeline in pipelines(each)]


def loads_annotations(step):
    """Whether a step of a pipeline loads annotations: not all such classes are based on mmcv's."""
    return isinstance(step, LoadAnnotations) or 'LoadAnnotation' in type(step).__name__


def steps_of(dataset):
    """The pipeline of a dataset without what needs annotations."""
    steps = pipelines(dataset)[0].transforms
    return [step for step in steps if not loads_annotations(step)]


def read_image(steps, path):
    """What the first steps of a pipeline load from a file, and the steps after them."""
    data = dict(img_path=str(path), img_id=0)
    for number, step in enumerate(steps, 1):
        data = step(data) or {}  # some return None for what they cannot read
        if 'img' in data:
            return data, steps[number:]
    raise ValueError('the pipeline loads no image')


def as_one_person(data, dataset):
    """A loaded image whose box of a person is all of it, as mmpose does where nobody gives one."""
    height, width = data['img'].shape[:2]
    box = np.array([[0, 0, width, height]], np.float32)
    return dict(data, bbox=box, bbox_score=np.ones(1, np.float32), **dataset.metainfo)


def to_rgb(image):
    """An image (H, W) or (H, W, C) of any numbers, BGR as mm loads it, as one that can be shown."""
    image = np.atleast_3d(image)
    image = image[..., 2::-1] if image.shape[2] > 2 else image[..., [0, 0, 0]]
    if image.dtype != np.uint8:
        image = np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0)
        if image.min() < 0 or image.max() <= 1 or image.max() > 255:
            image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(image, np.uint8)


def image_path(info):
    """The file of an image, or the first of several, in what a dataset or data sample tells."""
    return as_list(info.get('img_path') or 'image')[0]


class Names:
    """File names for pictures of images, none twice and none of an image's own.

    Pictures lie in their folder as the images lie below the folder that all of them share.
    """

    def __init__(self, folder, paths):
        self.folder, self.used = Path(folder), {os.path.realpath(path) for path in paths}
        folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
        self.root = os.path.commonpath(folders or {os.curdir})

    @classmethod
    def of_dataset(cls, folder, dataset, number=None):
        """Those for the first images of a dataset."""
        numbers = range(len(dataset))[:number]
        return cls(folder, [image_path(dataset.get_data_info(index)) for index in numbers])

    def check(self):
        """Raise a `UsageError` if nothing can be written there, or only among the images."""
        check_folder(self.folder, '--out-dir')
        if self.used and self.folder.resolve() == Path(self.root).resolve():
            raise UsageError(
                f'pictures in {self.folder} would take the place of images: set another --out-dir'
            )

    def name(self, path, as_png=False):
        """The path of a new picture of an image, with a suffix that OpenCV writes."""
        parts = Path(os.path.relpath(path, self.root)).parts
        path = self.folder.joinpath(*(part for part in parts if part != os.pardir))
        if as_png:
            path = path.with_suffix('.png')
        elif not cv2.haveImageWriter(path.name):
            path = path.with_name(f'{path.name}.png')
        more = (path.with_stem(f'{path.stem}_{number}') for number in count(2))
        found = next(p for p in chain([path], more) if os.path.realpath(p) not in self.used)
        self.used.add(os.path.realpath(found))
        return found


@contextmanager
def passing_over(what):
    """Go on after an error in one of many pictures, which is one sentence."""
    try:
        yield
    except Exception as error:  # whatever the reader of an image raises, or mm on what it holds
        reason = truncate(error) or type(error).__name__
        print(f'passed over: {truncate(what)} ({reason})', file=sys.stderr)


class Painter:
    """Draws data samples on images as a pipeline loads them, by the visualizer of a config."""

    def __init__(self, cfg, dataset, score_thr=None):
        warnings.filterwarnings('ignore', '.*out of bounds')  # of boxes that touch the border
        usual = KINDS.get(cfg.get('default_scope'), 'Visualizer')
        settings = cfg.get('visualizer') or dict(type=usual)
        settings = dict(settings, vis_backends=None, name=uuid4().hex)  # none of another's name
        self.visualizer = visualizer = VISUALIZERS.build(settings)
        kind = type(visualizer)
        # Of mmpretrain's visualizer, which has a method for each task instead.
        self.classifies = hasattr(visualizer, 'visualize_cls')
        if kind.add_datasample is Visualizer.add_datasample and not self.classifies:
            sys.exit(f'visualizer.type is {kind.__name__}, which does not draw predictions')
        visualizer.dataset_meta = meta = dict(dataset.metainfo)
        if draws_keypoints(visualizer):  # it has colours and lines for a skeleton
            visualizer.set_dataset_meta(meta)
        self.classes = meta.get('classes') or ()
        if len(meta.get('palette') or ()) < len(self.classes):
            meta.pop('palette', None)  # mmdet then chooses colours
        keep_inside(visualizer)
        known = inspect.signature(visualizer.add_datasample).parameters
        self.options = dict(pred_score_thr=score_thr) if 'pred_score_thr' in known else {}
        self.has_said = False

    def draw(self, image, sample, name='', **options):
        """The picture (H, W, 3), RGB; options are those of mm's `add_datasample`."""
        channels = np.atleast_3d(image).shape[2]
        if channels > 3 and not self.has_said:
            print(f'of {channels} channels the first three are drawn', file=sys.stderr)
            self.has_said = True
        image = to_rgb(image)
        scale_lines(self.visualizer, image)
        if self.classifies:
            self.visualizer.visualize_cls(image, sample, name=name, **options)
        else:
            self.visualizer.add_datasample(name, image, sample, **self.options, **options)
        return self.visualizer.get_image()


def keep_inside(visualizer):
    """Move labels that would run over the right border, as those of mmdet do, to the left."""

    def draw_texts(*args, **options):
        type(visualizer).draw_texts(visualizer, *args, **options)
        label = visualizer.ax_save.texts[-1]
        beyond = max(0, label.get_window_extent().x1 + 2 - visualizer.width)
        label.set_x(label.get_position()[0] - beyond)

    visualizer.draw_texts = draw_texts


def draws_keypoints(visualizer):
    """Whether a visualizer is one of mmpose, whose points have a radius."""
    return hasattr(visualizer, 'radius')


def scale_lines(visualizer, image):
    """Lines that do not cover a small image, and text and lines that are seen on a large one."""
    # Those of mmpose, who draws with OpenCV, are whole pixels.
    visualizer.line_width = 2 if draws_keypoints(visualizer) else 1.5
    visualizer.dpi = max(100, min(image.shape[:2]) / 5)
    visualizer.fig_save.set_dpi(visualizer.dpi)
