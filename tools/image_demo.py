"""Draw what a detector or segmenter finds in images, folders, videos, URLs and cameras."""

import mimetypes
import re
import sys
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import cv2
import mmcv
import numpy as np
import torch
from demo.mode import adapt
from lib import drawing
from lib.arguments import add_config, check_device, check_folder, progress
from lib.memory import keep_pages
from lib.predictions import Predictions
from lib.run_config import check_checkpoint
from mmengine.dataset import pseudo_collate
from mmengine.fileio import get
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS

from mmbackbones import CheckpointError, load_checkpoint
from mmbackbones.weights.errors import brief
from mmbackbones.weights.published_dense import published_dense

RANDOM = 'random'  # instead of a checkpoint
LABEL = 'random weights'  # on pictures without one
CODECS = {'.avi': 'MJPG', '.mkv': 'mp4v', '.mov': 'mp4v', '.mp4': 'mp4v', '.webm': 'VP80'}
NO_IMAGES = ('text/', 'video/', 'audio/', 'application/json')  # kinds of files by their suffix


def parse():
    """The arguments, and the parser for errors about them."""
    example = (
        'python tools/image_demo.py .github/demo_set.jpg configs/upernet_swin_t.py --demo\n'
        'after tools/demo.sh: python tools/image_demo.py data/demo/coco/val2017 '
        'configs/mask_rcnn_swin_t.py --demo --weights work_dirs/demo/epoch_3.pth'
    )
    parser = drawing.drawing_parser(__doc__, example, 'outputs')
    text = 'an image, a folder with all below it, a video, a URL, or camera:0'
    parser.add_argument('image', help=text)
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
    text = 'keep all predictions in this .json or .csv, and maps of classes beside it'
    parser.add_argument('--pred-out', metavar='FILE', help=text)
    args = parser.parse_args()
    if args.pred_out and Path(args.pred_out).suffix not in ('.json', '.csv'):
        parser.error(f'--pred-out {args.pred_out} must end in .json or .csv')
    if args.weights is None and not args.demo:  # no published model expects the demo's scale
        args.weights = published_dense(args.config)
        if args.weights:
            print(f'weights: {args.weights} (or none: --weights {RANDOM})', file=sys.stderr)
    elif args.weights == RANDOM:
        args.weights = None
    return args, parser


def find(args, stack, steps, parser):
    """The images that the argument stands for, or None, and what OpenCV opens as a video."""
    source = args.image
    camera = re.fullmatch(r'(?:camera:)?(\d+)', source)
    if source.startswith('rtsp://') or (camera and not Path(source).exists()):
        return None, int(camera[1]) if camera else source
    path = Path(source)
    try:
        if '://' in source:
            folder = stack.enter_context(TemporaryDirectory())
            path = Path(folder, Path(urlsplit(source).path).name.strip('.')[-100:] or 'image')
            path.write_bytes(get(source))
        path.stat()
    except (OSError, ValueError, HTTPException) as error:
        parser.error(f'there is no image, folder or video {brief(source)}: {brief(error)}')
    if path.is_dir():
        return images_of(path, args, parser), None
    if path.suffix.lower() in CODECS and cv2.VideoCapture(str(path)).isOpened():
        return None, str(path)
    try:
        drawing.read_image(steps, path)
    except Exception as error:  # whatever the loader of a config raises
        videos = f'a video ({" ".join(CODECS)}) that OpenCV can read'
        parser.error(f'{brief(source)} is neither an image nor {videos}: {brief(error)}')
    return [path], None


def images_of(folder, args, parser):
    """The files of a folder that may be images; says how many are something else by suffix."""
    own = Path(args.out_dir).resolve()
    own = own if folder.resolve() in own.parents else None  # pictures of another run
    files = [path for path in files_below(folder) if own not in path.resolve().parents]
    kinds = [mimetypes.guess_type(path.name)[0] or '' for path in files]
    images = [p for p, kind in zip(files, kinds, strict=True) if not kind.startswith(NO_IMAGES)]
    if len(files) > len(images):
        text = 'passed over: {} files that are no images by their suffix'
        print(text.format(len(files) - len(images)), file=sys.stderr)
    if not images:
        parser.error(f'{brief(folder)} holds no images')
    return images


def files_below(folder, above=()):
    """The files in a folder and its sub-folders but for hidden ones; links do not lead round."""
    above = (*above, folder.resolve())
    with drawing.passing_over(folder):
        for path in sorted(folder.glob('[!.]*')):
            if path.is_dir() and path.resolve() not in above:
                yield from files_below(path, above)
            elif not path.is_dir():
                yield path


def build(cfg, args, parser):
    """The model of a config, with weights of a checkpoint or random ones; no others are loaded."""
    model = revert_sync_batchnorm(drawing.build_or_exit(MODELS, cfg.model, 'model', parser))
    if args.weights:
        MMLogger.get_current_instance().setLevel('WARNING')  # what the backbone drops is the heads
        try:
            load_checkpoint(model, check_checkpoint(args.weights, parser))
        except (FileNotFoundError, CheckpointError) as error:
            parser.error(str(error))
    else:
        text = f'{LABEL}: nothing was trained; give a checkpoint with --weights'
        print(text, file=sys.stderr)
    return model.to(args.device).eval()


class Demo:
    """Predicts as the test loop of a config does, draws, and keeps what it finds."""

    def __init__(self, cfg, args, parser):
        dataset = drawing.lazy_dataset(cfg, parser)
        self.steps = drawing.steps_of(dataset)
        self.painter = drawing.Painter(cfg, dataset, args.score_thr)
        self.model, self.is_random, self.predictions = None, not args.weights, None
        if args.pred_out:
            check_folder(Path(args.pred_out).parent, '--pred-out', parser)
            self.predictions = Predictions(args.pred_out, self.painter.classes)

    def paint(self, loaded, source, name):
        """The picture of an image that `read_image` loaded; what is found is kept by its source."""
        data, rest = loaded
        image = data['img'].copy()
        for step in rest:
            data = step(data)
        with torch.no_grad():
            (sample,) = self.model.test_step(pseudo_collate([data]))
        if self.predictions:
            self.predictions.add(source, name, image.shape[:2], sample.cpu())
        picture = mmcv.rgb2bgr(self.painter.draw(image, sample, draw_gt=False))
        return with_strip(picture, LABEL) if self.is_random else picture


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


def paint_images(paths, args, demo):
    """Write a picture for each image, named as it lies below their folder; yields where."""
    names, is_folder = drawing.Names(args.out_dir, paths), Path(args.image).is_dir()
    for path in progress(paths, 'images'):
        source, loaded = path if is_folder else args.image, None
        with drawing.passing_over(f'{source} is damaged or no image'):
            loaded = drawing.read_image(demo.steps, path)
        if loaded is None:
            continue
        height, width = loaded[0]['img'].shape[:2]
        with drawing.passing_over(f'{source} of {width} x {height} pixels'):
            target = names.name(path)
            name = target.relative_to(args.out_dir)
            mmcv.imwrite(demo.paint(loaded, source, name), str(target))
            yield target


def paint_video(video, args, demo, parser):
    """Write a video, each frame painted, until it ends or Ctrl-C; yields where."""
    capture, writer = cv2.VideoCapture(video), None
    if not capture.isOpened():
        parser.error(f'OpenCV cannot open {brief(args.image)}')
    name = Path(str(video)).name
    name = name if Path(name).suffix.lower() in CODECS else f'camera_{name}.avi'
    length = max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None
    with TemporaryDirectory() as folder:
        file = Path(folder, 'frame.bmp')  # so that the loader of the config reads frames as well
        for number, frame in enumerate(progress(frames_of(capture), 'frames', length)):
            with drawing.passing_over(f'frame {number} of {args.image}'):
                cv2.imwrite(str(file), frame)
                loaded, source = drawing.read_image(demo.steps, file), f'{args.image}#{number}'
                picture = demo.paint(loaded, source, f'{name}/{number:06}.png')
                if writer is None:
                    writer = open_writer(Path(args.out_dir, name), capture, picture, parser)
                    yield Path(args.out_dir, name)
                writer.write(picture)
            if writer is None:
                break  # the other frames would fail as well


def frames_of(capture):
    """The frames of an open video or camera."""
    while True:
        is_read, frame = capture.read()
        if not is_read:
            return
        yield frame


def open_writer(target, capture, picture, parser):
    """What writes a video of such pictures, at the speed of another one."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    codec = cv2.VideoWriter_fourcc(*CODECS[target.suffix.lower()])
    size = picture.shape[1::-1]
    writer = cv2.VideoWriter(str(target), codec, rate if 0 < rate < 1000 else 25, size)
    if not writer.isOpened():
        parser.error(f'OpenCV cannot write {target}: convert the video to another kind')
    return writer


def main():
    """Check what is needed, then draw."""
    args, parser = parse()
    keep_pages()
    cfg = drawing.config_of(args, parser, adapt)
    check_device(args.device, parser)
    demo, done = Demo(cfg, args, parser), []
    with ExitStack() as stack:
        paths, video = find(args, stack, demo.steps, parser)
        root = '' if isinstance(video, int) else drawing.Names(args.out_dir, paths or [video]).root
        drawing.check_out_dir(args.out_dir, root, parser)
        demo.model = build(cfg, args, parser)
        is_video = video is not None
        targets = (
            paint_video(video, args, demo, parser) if is_video else paint_images(paths, args, demo)
        )
        with suppress(KeyboardInterrupt):  # which ends a camera's video; what is done is kept
            done.extend(targets)
    if demo.predictions:
        demo.predictions.write()
        done.append(args.pred_out)
    print(*map(brief, done), sep='\n')
    if not done:
        sys.exit('nothing was drawn')


if __name__ == '__main__':
    main()
