"""Draw what the pipeline of a config hands to the model, with the ground truth on it."""

import sys

from demo.mode import to_demo
from lib import drawing
from lib.arguments import add_config, progress
from lib.run_config import check_data
from mmengine.registry import DATASETS


def parse():
    """The arguments, and the parser for errors about them."""
    example = 'python tools/browse_dataset.py configs/mask_rcnn_swin_t.py --demo --number 8'
    parser = drawing.drawing_parser(__doc__, example, 'outputs/browse')
    add_config(parser, 'as tools/train.py --demo: the small demo set, drawn if it is not there')
    parser.add_argument('--phase', choices=('train', 'val', 'test'), default='train')
    parser.add_argument('--number', type=int, default=50, help='of images [50]')
    parser.add_argument('--show', action='store_true', help='show them in a window, too')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window [2]')
    return parser.parse_args(), parser


def resize_truth(dataset):
    """Let pipelines load ground truth right after the image, to resize both.

    Those for testing load it after resizing, for metrics at the size of the file.
    """
    for each in drawing.inner_ones(dataset):
        if hasattr(each, 'pipeline'):
            first, *steps = each.pipeline.transforms
            early = [step for step in steps if drawing.loads_annotations(step)]
            late = [step for step in steps if step not in early]
            each.pipeline.transforms = [first, *early, *late]


def browse(dataset, args, painter, names):
    """Write a picture for each of the first images of a dataset; yields where."""
    for index in progress(range(min(args.number, len(dataset))), args.phase):
        with drawing.passing_over(f'image {index} of {args.phase}'):
            item = dataset[index]
            sample = item['data_samples']
            boxes = sample.get('gt_instances', {}).get('bboxes')
            if hasattr(boxes, 'tensor'):  # the visualizer wants them so
                sample.gt_instances.bboxes = boxes.tensor
            image = item['inputs'].permute(1, 2, 0).numpy()
            path = names.name(drawing.image_path(sample))
            options = dict(show=args.show, wait_time=args.wait_time, out_file=str(path))
            painter.draw(image, sample, path.name, draw_pred=False, **options)
            yield path


def main():
    """Check what is needed, then draw."""
    args, parser = parse()
    cfg = drawing.config_of(args, parser, to_demo, args.phase)
    loader = f'{args.phase}_dataloader'
    check_data(cfg, [loader], parser)
    dataset = drawing.build_or_exit(DATASETS, cfg[loader].dataset, loader, parser)
    names = drawing.Names.of_dataset(args.out_dir, dataset, args.number)
    drawing.check_out_dir(args.out_dir, names.root, parser)
    resize_truth(dataset)
    if not list(browse(dataset, args, drawing.Painter(cfg, dataset), names)):
        sys.exit('nothing was drawn')
    print(f'pictures: {args.out_dir}')


if __name__ == '__main__':
    main()
