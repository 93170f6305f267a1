"""Draw what a detector or segmenter finds: boxes, masks or maps on images, folders, videos."""

import sys
import warnings
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from demo.mode import adapt
from lib.arguments import add_config, check_device, progress
from lib.drawing import check_out_dir, config_of, dataset_of, drawing_parser, suit, visualizer_of
from lib.memory import keep_pages
from lib.run_config import check_checkpoint
from mmengine.logging import MMLogger
from mmengine.utils import import_modules_from_strings

from mmbackbones import CheckpointError, load_checkpoint
from mmbackbones.weights.errors import brief
from mmbackbones.weights.published_dense import published_dense

APIS = {
    'mmdet': ('init_detector', 'inference_detector'),
    'mmseg': ('init_model', 'inference_model'),
}
RANDOM = 'random'  # instead of a checkpoint
LABEL = 'random weights'  # on pictures without one
CODECS = {'.avi': 'MJPG', '.mkv': 'mp4v', '.mov': 'mp4v', '.mp4': 'mp4v', '.webm': 'VP80'}


def parse():
    """The arguments, and the parser for errors about them."""
    example = (
        'python tools/image_demo.py .github/demo_set.jpg configs/upernet_swin_t.py --demo\n'
        'after tools/demo.sh: python tools/image_demo.py data/demo/coco/val2017 '
        'configs/mask_rcnn_swin_t.py --demo --weights work_dirs/demo/epoch_3.pth'
    )
    parser = drawing_parser(__doc__, example, 'outputs')
    parser.add_argument('image', help='an image, a folder of images, or a video')
    add_config(parser, 'scale images as tools/train.py --demo does')
    parser.add_argument(
        '--weights',
        metavar='PATH_OR_URL',
        help='of the whole model, or `random` [what is published for the config, if anything]',
    )
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    parser.add_argument('--device', default=device, help=f'such as cuda:1 [{device}]')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw detections above this score [0.3]'
    )
    args = parser.parse_args()
    if args.weights is None and not args.demo:  # no published model expects the demo's scale
        args.weights = published_dense(args.config)
        if args.weights:
            print(f'weights: {args.weights} (or none: --weights {RANDOM})', file=sys.stderr)
    elif args.weights == RANDOM:
        args.weights = None
    return args, parser


def find(source, parser):
    """The images that a path stands for, and whether it is a video instead."""
    path = Path(source)
    if not path.exists():
        parser.error(f'there is no image, folder or video {source}')
    if path.is_dir():
        images = [each for each in sorted(path.iterdir()) if is_image(each)]
        return images or parser.error(f'{source} holds no images'), False
    if is_image(path):
        return [path], False
    if path.suffix.lower() in CODECS and mmcv.VideoReader(source).opened:
        return [path], True
    return parser.error(
        f'{source} is neither an image nor a video ({" ".join(CODECS)}) that OpenCV can read'
    )


def is_image(path):
    """Whether the first bytes of a file are those of an image."""
    return path.is_file() and cv2.haveImageReader(str(path))


def build(cfg, device, init):
    """The model in evaluation, with random weights; nothing is downloaded."""
    if cfg.default_scope == 'mmseg':
        cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline  # mmseg looks for it there
    with warnings.catch_warnings(record=True):  # that names would be COCO's
        return init(cfg, None, device=device)


def painter(cfg, args, parser):
    """A function of an image (H, W, 3), BGR, that draws on it what the model finds."""
    apis = import_modules_from_strings(f'{cfg.default_scope}.apis')
    init, infer = (getattr(apis, name) for name in APIS[cfg.default_scope])
    model = build(cfg, args.device, init)
    if args.weights:
        MMLogger.get_current_instance().setLevel('WARNING')  # what the backbone drops is the heads
        try:
            load_checkpoint(model, check_checkpoint(args.weights, parser))
        except (FileNotFoundError, CheckpointError) as error:
            parser.error(str(error))
    visualizer = visualizer_of(cfg, dataset_of(cfg, 'test', lazy_init=True))
    options = dict(pred_score_thr=args.score_thr) if cfg.default_scope == 'mmdet' else {}

    def paint(image):
        suit(visualizer, image)
        sample = infer(model, image)
        visualizer.add_datasample('', mmcv.bgr2rgb(image), sample, draw_gt=False, **options)
        drawn = mmcv.rgb2bgr(visualizer.get_image())
        return drawn if args.weights else with_strip(drawn, LABEL)

    return paint


def with_strip(picture, text):
    """The picture below a strip with a text as large as there is room for."""
    height, width = max(20, len(picture) // 14), picture.shape[1]
    font = cv2.FONT_HERSHEY_SIMPLEX
    (length, _), _ = cv2.getTextSize(text, font, 1, 1)
    scale = min(0.9 * width / length, height / 40)
    strip = np.full((height, width, 3), 255, np.uint8)
    corner = round(0.05 * width), round(0.7 * height)
    cv2.putText(strip, text, corner, font, scale, (0, 0, 200), round(2 * scale) or 1, cv2.LINE_AA)
    return np.vstack([strip, picture])


def paint_images(paths, out_dir, paint):
    """Write a picture for each image; yields where."""
    for path in paths:
        image = mmcv.imread(path)
        if image is None:
            print(f'passed over: {path} is damaged', file=sys.stderr)
            continue
        name = path.name if cv2.haveImageWriter(path.name) else f'{path.name}.png'
        try:
            picture = paint(image)
        except (RuntimeError, ValueError, LookupError, ArithmeticError, cv2.error) as error:
            size = f'{image.shape[1]} x {image.shape[0]}'
            print(f'passed over: {path} of {size} pixels ({brief(error)})', file=sys.stderr)
            continue
        mmcv.imwrite(picture, str(Path(out_dir, name)))
        yield Path(out_dir, name)


def paint_video(path, out_dir, paint, parser):
    """Write a video of the same name, each frame painted; returns where."""
    video, target, writer = mmcv.VideoReader(str(path)), Path(out_dir, path.name), None
    codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix.lower()])
    for frame in progress(video, path.name):
        picture = paint(frame)
        if writer is None:
            size = picture.shape[1::-1]
            writer = cv2.VideoWriter(str(target), codec, video.fps or 25, size)
        if not writer.isOpened():
            parser.error(f'OpenCV cannot write {target}: convert {path} to another kind of video')
        writer.write(picture)
    if writer is None:
        parser.error(f'{path} has no frame that OpenCV can read')
    writer.release()
    return target


def main():
    """Check what is needed, then draw."""
    args, parser = parse()
    keep_pages()
    cfg = config_of(args, parser, adapt)
    check_device(args.device, parser)
    paths, is_video = find(args.image, parser)
    check_out_dir(args.out_dir, [paths[0].parent], parser)
    paint = painter(cfg, args, parser)
    if not args.weights:
        print(f'{LABEL}: nothing was trained; give a checkpoint with --weights', file=sys.stderr)
    if is_video:
        done = [paint_video(paths[0], args.out_dir, paint, parser)]
    else:
        done = list(paint_images(progress(paths, 'images'), args.out_dir, paint))
    print(*done, sep='\n')
    if not done:
        sys.exit('nothing was drawn')


if __name__ == '__main__':
    main()
