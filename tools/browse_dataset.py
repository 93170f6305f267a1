"""Draw what the pipeline of a config hands to the model, with the ground truth on it."""

import sys

from lib import drawing
from lib.arguments import add_config, progress
from lib.process import prepare_process
from lib.run_config import check_data, draw_demo_set
from lib.usage import make_parser, run_tool
from mmengine.registry import DATASETS


def command_line():
    """The parser of the arguments."""
    example = 'python tools/browse_dataset.py configs/mask_rcnn_swin_t.py --demo --number 8'
    parser = make_parser(__doc__, f'example: {example}')
    add_config(parser, 'as tools/train.py --demo: the small demo set, drawn if it is not there')
    parser.add_argument('--out-dir', default='outputs/browse', help='[outputs/browse]')
    parser.add_argument('--phase', choices=('train', 'val', 'test'), default='train')
    parser.add_argument('--number', type=int, default=50, help='of images [50]')
    parser.add_argument('--show', action='store_true', help='show them in a window, too')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window [2]')
    return parser


def resize_truth(dataset):
    """Let pipelines load ground truth right after the image, to resize both.

    Those for testing load it after resizing, for metrics at the size of the file.
    """
    for pipeline in drawing.pipelines(dataset):
        first, *steps = pipeline.transforms
        steps.sort(key=drawing.loads_annotations, reverse=True)  # those first, else as they were
        pipeline.transforms = [first, *steps]


def draw_images(dataset, args, painter, names):
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


def browse(args):
    """Check what is needed, then draw."""
    cfg = drawing.read_config_with_data(args, args.phase)
    draw_demo_set(args, cfg)
    drawing.use_scope_of(cfg)
    loader = f'{args.phase}_dataloader'
    check_data(cfg, [loader])
    dataset = drawing.build_part(DATASETS, cfg[loader].dataset, loader)
    names = drawing.Names.of_dataset(args.out_dir, dataset, args.number)
    names.check()
    resize_truth(dataset)
    if not list(draw_images(dataset, args, drawing.Painter(cfg, dataset), names)):
        sys.exit('nothing was drawn')
    print(f'pictures: {args.out_dir}')


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, browse)


if __name__ == '__main__':
    main()
