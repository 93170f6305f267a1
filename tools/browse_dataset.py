"""Draw what the pipeline of a config hands to the model, with the ground truth on it."""

from pathlib import Path

import mmcv
from demo.mode import to_demo
from lib.arguments import add_config, progress
from lib.drawing import check_out_dir, config_of, dataset_of, drawing_parser, suit, visualizer_of
from lib.run_config import check_data, data_paths, innermost

FIRST = {'LoadImageFromFile': 0, 'LoadAnnotations': 1}


def parse():
    """The arguments, and the parser for errors about them."""
    example = 'python tools/browse_dataset.py configs/mask_rcnn_swin_t.py --demo --number 8'
    parser = drawing_parser(__doc__, example, 'outputs/browse')
    add_config(parser, 'as tools/train.py --demo: the small demo set, drawn if it is not there')
    parser.add_argument('--phase', choices=('train', 'val', 'test'), default='train')
    parser.add_argument('--number', type=int, default=50, help='of images [50]')
    parser.add_argument('--show', action='store_true', help='show them in a window, too')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window [2]')
    return parser.parse_args(), parser


def resize_truth(dataset):
    """Let the pipeline of a dataset load ground truth right after the image, to resize both.

    Those for testing load it after resizing, for metrics at the size of the file.
    """
    dataset = innermost(dataset)
    if 'pipeline' in dataset:
        dataset.pipeline = sorted(dataset.pipeline, key=lambda step: FIRST.get(step.type, 2))


def with_tensors(sample):
    """A data sample whose boxes are a plain tensor, as the visualizer wants them."""
    boxes = sample.get('gt_instances', {}).get('bboxes')
    if hasattr(boxes, 'tensor'):
        sample.gt_instances.bboxes = boxes.tensor
    return sample


def browse(cfg, args):
    """Write a picture for each of the first images of the dataset."""
    resize_truth(cfg[f'{args.phase}_dataloader'].dataset)
    dataset = dataset_of(cfg, args.phase)
    visualizer = visualizer_of(cfg, dataset)
    for index in progress(range(min(args.number, len(dataset))), args.phase):
        item = dataset[index]
        image = mmcv.bgr2rgb(item['inputs'].permute(1, 2, 0).numpy())
        sample = with_tensors(item['data_samples'])
        name = Path(sample.img_path).name
        suit(visualizer, image)
        visualizer.add_datasample(
            name,
            image,
            sample,
            draw_pred=False,
            show=args.show,
            wait_time=args.wait_time,
            out_file=str(Path(args.out_dir, name)),
        )


def main():
    """Check what is needed, then draw."""
    args, parser = parse()
    cfg = config_of(args, parser, to_demo)
    check_data(cfg, [f'{args.phase}_dataloader'], parser)
    check_out_dir(args.out_dir, data_paths(cfg[f'{args.phase}_dataloader'].dataset), parser)
    browse(cfg, args)
    print(f'pictures: {args.out_dir}')


if __name__ == '__main__':
    main()
