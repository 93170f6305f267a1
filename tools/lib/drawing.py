"""What the tools that draw share: the dataset of a config, and its visualizer with names."""

import warnings
from pathlib import Path

from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.utils import import_modules_from_strings

from lib.arguments import check_folder, check_scope, make_parser
from lib.run_config import read_config

PARTS = ('apis', 'datasets', 'visualization')  # of mmdet and mmseg, which register what is drawn


def drawing_parser(description, example, out_dir):
    """A parser with an example, and where pictures go."""
    parser = make_parser(description, f'example: {example}')
    parser.add_argument('--out-dir', default=out_dir, help=f'where pictures go [{out_dir}]')
    return parser


def check_out_dir(out_dir, sources, parser):
    """Exit with one sentence if nothing can be written there, or only over one of the sources."""
    check_folder(out_dir, '--out-dir', parser)
    if Path(out_dir).resolve() in [path.resolve() for path in sources]:
        parser.error(f'pictures in {out_dir} would take the place of images: set another --out-dir')


def config_of(args, parser, demo):
    """The config of the arguments, in its scope; one sentence if we do not draw for that."""
    cfg = read_config(args, parser, demo)
    check_scope(cfg, args.config, parser)
    import_modules_from_strings([f'{cfg.default_scope}.{part}' for part in PARTS])
    init_default_scope(cfg.default_scope)
    return cfg


def dataset_of(cfg, phase, **options):
    """The dataset of a phase; with `lazy_init` it knows its class names and reads no files."""
    return DATASETS.build(dict(cfg[f'{phase}_dataloader'].dataset, **options))


def visualizer_of(cfg, dataset):
    """The visualizer of a config, with names and colours of a dataset; it logs nothing."""
    warnings.filterwarnings('ignore', '.*out of bounds')  # of boxes that touch the border
    visualizer = VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    visualizer.dataset_meta = dataset.metainfo
    keep_inside(visualizer)
    return visualizer


def keep_inside(visualizer):
    """Move labels that would run over the right border, as those of mmdet do, to the left."""

    def draw_texts(*args, **options):
        type(visualizer).draw_texts(visualizer, *args, **options)
        label = visualizer.ax_save.texts[-1]
        beyond = max(0, label.get_window_extent().x1 + 2 - visualizer.width)
        label.set_x(label.get_position()[0] - beyond)

    visualizer.draw_texts = draw_texts


def suit(visualizer, image):
    """Lines that do not cover a small image, and text and lines that are seen on a large one."""
    visualizer.line_width = 1.5
    visualizer.dpi = max(100, min(image.shape[:2]) / 5)
    visualizer.fig_save.set_dpi(visualizer.dpi)
