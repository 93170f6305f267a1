"""What the tools that draw share: the dataset of a config, and its visualizer with names."""

import argparse
import warnings

from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.utils import import_modules_from_strings


def drawing_parser(description, example):
    """A parser with an example, and where pictures go."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f'example: {example}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out-dir', default='outputs', help='where pictures go [outputs]')
    return parser


PARTS = ('apis', 'datasets', 'visualization')


def check_scope(cfg, parser):
    """Enter the scope of a config, or exit with one sentence if it has none that we draw for."""
    if cfg.get('default_scope') not in ('mmdet', 'mmseg'):
        parser.error(f'{cfg.filename} has no default_scope of mmdet or mmseg; set one of them')
    import_modules_from_strings([f'{cfg.default_scope}.{part}' for part in PARTS])
    init_default_scope(cfg.default_scope)


def dataset_of(cfg, phase, **options):
    """The dataset of a phase; with `lazy_init` it knows its class names and reads no files."""
    return DATASETS.build(dict(cfg[f'{phase}_dataloader'].dataset, **options))


def visualizer_of(cfg, dataset):
    """The visualizer of a config, with names and colours of a dataset; it logs nothing."""
    warnings.filterwarnings('ignore', '.*out of bounds')  # of boxes that touch the border
    visualizer = VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    visualizer.dataset_meta = dataset.metainfo
    return visualizer


def suit(visualizer, image):
    """Lines that do not cover a small image, and text and lines that are seen on a large one."""
    side = min(image.shape[:2])
    visualizer.line_width = min(3, max(1, side / 200))
    visualizer.dpi = max(100, side / 8)
    visualizer.fig_save.set_dpi(visualizer.dpi)
