"""Draw what a detector or segmenter finds in images, folders, videos, URLs and cameras.

Instead of a config it takes a file of tools/export.py, which needs no weights.
"""

import mimetypes
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import cv2
import mmcv
import numpy as np
import torch
from lib import drawing
from lib.arguments import add_config, check_device, check_folder, progress
from lib.exported import fill, is_exported, open_exported
from lib.flops import use_data_preprocessor
from lib.memory import keep_pages
from lib.predictions import Predictions
from lib.process import prepare_process
from lib.run_config import check_checkpoint, innermost
from lib.usage import UsageError, make_parser, run_tool, usage_errors
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import pseudo_collate
from mmengine.fileio import dump, get, list_dir_or_file
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS
from mmengine.structures import BaseDataElement

from mmbackbones import CheckpointError, load_checkpoint
from mmbackbones.weights.downloading import local_file
from mmbackbones.weights.errors import truncate
from mmbackbones.weights.published_dense import published_dense
from mmbackbones.weights.reading import load_from_checked_file

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'  # unless another is asked for
RANDOM = 'random'  # instead of a checkpoint
LABEL = 'random weights'  # on pictures without one
CODECS = {'.avi': 'MJPG', '.mkv': 'mp4v', '.mov': 'mp4v', '.mp4': 'mp4v', '.webm': 'VP80'}
NO_IMAGES = ('text/', 'video/', 'audio/', 'application/json')  # kinds of files by their suffix


def command_line():
    """The parser of the arguments."""
    example = (
        'python tools/image_demo.py .github/demo_set.jpg configs/upernet_swin_t.py --demo\n'
        'after tools/demo.sh: python tools/image_demo.py data/demo/coco/val2017 '
        'configs/mask_rcnn_swin_t.py --demo --weights work_dirs/demo/epoch_3.pth'
    )
    parser = make_parser(__doc__, f'example: {example}')
    text = 'an image, a folder with all below it, a video, a URL, or camera:0'
    parser.add_argument('image', help=text)
    add_config(parser, 'scale images as tools/train.py --demo does')
    parser.add_argument('--out-dir', default='outputs', help='[outputs]')
    parser.add_argument(
        '--weights',
        metavar='PATH_OR_URL',
        help='of the whole model, or `random` [what is published for the config, if anything]',
    )
    text = f'such as cuda:1 [{DEVICE}; of a file .onnx or .xml cpu]'
    parser.add_argument('--device', help=text)
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw detections above this score [0.3]'
    )
    text = 'keep all predictions in this .json, and maps of classes beside it'
    parser.add_argument('--pred-out', metavar='FILE', help=text)
    return parser


def complete(args):
    """Raise a `UsageError` if arguments do not go together; set the device and the weights."""
    if args.pred_out and not args.pred_out.endswith('.json'):
        raise UsageError(f'--pred-out {args.pred_out} must end in .json')
    args.is_exported = is_exported(args.config)
    if args.is_exported:
        args.device = args.device or 'cpu'
        if args.weights or args.demo or args.cfg_options:
            raise UsageError(
                f'{args.config} has its weights and scale: leave out --weights and the like'
            )
        return
    args.device = args.device or DEVICE
    if args.weights is None and not args.demo:  # no published model expects the demo's scale
        args.weights = published_dense(args.config)
        if args.weights:
            print(f'weights: {args.weights} (or none: --weights {RANDOM})', file=sys.stderr)
    elif args.weights == RANDOM:
        args.weights = None


# mm's inferencers read neither videos nor cameras, end at the first damaged image, and write
# pictures of images that have one name over each other.
def open_source(source, folder, steps, out_dir):
    """The images that a source stands for, and what reads it if it is a video or camera.

    What a URL names is downloaded into the folder.
    """
    if source.startswith('camera:') and source[7:].isdecimal():
        return [], cv2.VideoCapture(int(source[7:]))
    # File clients and the loaders of configs raise whatever they like.
    with usage_errors(Exception, about=f'there is no image, folder or video {truncate(source)}'):
        path = download(source, folder) if '://' in source else Path(source)
        if path.is_dir():
            return images_of(path, out_dir), None
        path.stat()
    if path.suffix.lower() in CODECS:
        capture = cv2.VideoCapture(str(path))
        if capture.isOpened():
            return [path], capture
    kinds = f'an image nor a video ({" ".join(CODECS)}) that OpenCV can read'
    with usage_errors(Exception, about=f'{truncate(source)} is neither {kinds}'):
        drawing.read_image(steps, path)
    return [path], None


def download(url, folder):
    """The file in a folder that has the content of a URL."""
    path = Path(folder, Path(urlsplit(url).path).name or 'image')
    path.write_bytes(get(url))
    return path


def images_of(folder, out_dir):
    """The files below a folder that may be images; says how many are something else by suffix."""
    files = [folder / name for name in list_dir_or_file(folder, list_dir=False, recursive=True)]
    own = Path(out_dir).resolve()
    if folder.resolve() in own.parents:  # pictures of another run are no images
        files = [path for path in files if own not in path.resolve().parents]
    kinds = {path: mimetypes.guess_type(path.name)[0] or '' for path in sorted(files)}
    images = [path for path, kind in kinds.items() if not kind.startswith(NO_IMAGES)]
    if others := len(files) - len(images):
        print(f'passed over: {others} files that are no images by their suffix', file=sys.stderr)
    if not images:
        raise UsageError(f'{truncate(folder)} holds no images')
    return images


def build(cfg, args):
    """The model of a config, with weights of a checkpoint or random ones; no others are loaded."""
    use_data_preprocessor(cfg)
    model = revert_sync_batchnorm(drawing.build_part(MODELS, cfg.model, 'model'))
    if args.weights:
        MMLogger.get_current_instance().setLevel('WARNING')  # what the backbone drops is the heads
        with usage_errors(FileNotFoundError, CheckpointError):
            load_checkpoint(model, check_checkpoint(args.weights))
    else:
        text = f'{LABEL}: nothing was trained; give a checkpoint with --weights'
        print(text, file=sys.stderr)
    return model.to(args.device).eval()


def classes_of(weights):
    """The classes that a training noted in its checkpoint: mmpretrain's are named by folders."""
    path = local_file(weights)
    meta = (load_from_checked_file(path, 'meta') if path.is_file() else {}).get('meta') or {}
    return {key: value for key, value in meta.get('dataset_meta', {}).items() if key == 'classes'}


class Predictor:
    """Predicts as the test loop of a config does, draws, and keeps what it finds."""

    def __init__(self, cfg, args):
        settings = dict(innermost(cfg.test_dataloader.dataset), lazy_init=True)  # reads no files
        if cfg.get('default_scope') == 'mmpretrain' and args.weights:
            settings['metainfo'] = classes_of(args.weights) | (settings.get('metainfo') or {})
        dataset = drawing.build_part(DATASETS, settings, 'test_dataloader')
        self.steps, self.dataset = drawing.steps_of(dataset), dataset
        self.finds_keypoints = cfg.get('default_scope') == 'mmpose'
        self.painter = drawing.Painter(cfg, dataset, args.score_thr)
        self.model, self.is_random = None, not args.weights
        self.predictions = predictions_of(args, self.painter.classes)
        self.build = partial(build, cfg, args)

    def load(self):
        """Build the model, which takes longer than to see that there are images."""
        self.model = self.build()

    def paint(self, path, source, name):
        """The picture of an image that is called `source`, or None if something fails."""
        with drawing.passing_over(f'{source} is damaged or no image'):
            data, rest = drawing.read_image(self.steps, path)
            height, width = data['img'].shape[:2]
            with drawing.passing_over(f'{source} of {width} x {height} pixels'):
                return self.predict(data, rest, source, name)

    def predict(self, data, rest, source, name):
        """The picture of a loaded image, on which the rest of the pipeline and the model run."""
        image = data['img'].copy()
        if self.finds_keypoints:
            data = drawing.as_one_person(data, self.dataset)
        for step in rest:
            data = step(data)
        with torch.no_grad():
            (sample,) = self.model.test_step(pseudo_collate([data]))
        if self.predictions:
            self.predictions.add(source, name, image.shape[:2], sample.cpu())
        picture = mmcv.rgb2bgr(self.painter.draw(image, sample, draw_gt=False))
        return with_strip(picture, LABEL) if self.is_random else picture


class ExportedPredictor(Predictor):
    """The same for a file of tools/export.py, which draws by itself."""

    def __init__(self, args):
        self.steps, self.score_thr = [LoadImageFromFile()], args.score_thr
        self.model = open_exported(args.config, device=args.device)
        self.predictions = predictions_of(args, self.model.classes)

    def load(self):
        """It is there, as it says how predictions are called."""

    def predict(self, data, rest, source, name):
        """The picture of a loaded image with what the file finds in it."""
        image = data['img'][..., ::-1]
        found = self.model(image, 0 if self.predictions else self.score_thr)
        if self.predictions:
            sample = fill(BaseDataElement(), found)
            self.predictions.add(source, name, image.shape[:2], sample)
        return mmcv.rgb2bgr(self.model.draw(image, found, score_threshold=self.score_thr))


def predictions_of(args, classes):
    """What keeps all predictions, or None without --pred-out."""
    if not args.pred_out:
        return None
    check_folder(Path(args.pred_out).parent, '--pred-out')
    return Predictions(args.pred_out, classes)


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


def paint_images(paths, names, args, predictor):
    """Write a picture for each image, named as it lies below their folder; yields where."""
    is_folder = Path(args.image).is_dir()
    for path in progress(paths, 'images'):
        target = names.name(path)
        source = path if is_folder else args.image  # which may be a URL
        picture = predictor.paint(path, source, target.relative_to(args.out_dir))
        if picture is not None:
            with drawing.passing_over(target):
                mmcv.imwrite(picture, str(target))
                yield target


def paint_video(capture, target, file, args, predictor):
    """Write a video, each frame painted, until it ends; yields where. The file holds one frame."""
    writer, length = None, max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None
    for number, frame in enumerate(progress(frames_of(capture), 'frames', length)):
        cv2.imwrite(str(file), frame)  # so that the loader of the config reads frames as well
        name = f'{target.name}/{number:06}.png'
        picture = predictor.paint(file, f'{args.image}#{number}', name)
        if picture is None and writer is None:
            return  # the other frames would fail as well
        if writer is None:
            writer = open_writer(target, capture, picture)
            yield target
        if picture is not None:
            writer.write(picture)


def frames_of(capture):
    """The frames of an open video or camera."""
    is_read, frame = capture.read()
    while is_read:
        yield frame
        is_read, frame = capture.read()


def open_writer(target, capture, picture):
    """What writes a video of such pictures, at the speed of another one."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    codec = cv2.VideoWriter_fourcc(*CODECS[target.suffix.lower()])
    size = picture.shape[1::-1]
    writer = cv2.VideoWriter(str(target), codec, rate if rate > 0 else 25, size)
    if not writer.isOpened():
        raise UsageError(f'OpenCV cannot write {target}: convert the video to another kind')
    return writer


def predictor_of(args):
    """What predicts and draws, from a config or a file of tools/export.py."""
    if args.is_exported:
        return ExportedPredictor(args)
    cfg = drawing.read_config_with_data(args)
    drawing.use_scope_of(cfg)
    check_device(args.device)
    return Predictor(cfg, args)


def prepare(args, predictor, folder):
    """An iterator that draws what the arguments name, and yields where.

    What is downloaded, and each frame of a video, goes into the folder.
    """
    paths, capture = open_source(args.image, folder, predictor.steps, args.out_dir)
    if capture and not capture.isOpened():
        raise UsageError(f'OpenCV cannot open {args.image}')
    names = drawing.Names(args.out_dir, paths)
    names.check()
    predictor.load()
    if capture:
        camera = args.image.replace(':', '_') + '.avi'
        target = Path(args.out_dir, paths[0].name if paths else camera)
        return paint_video(capture, target, Path(folder, 'frame.bmp'), args, predictor)
    return paint_images(paths, names, args, predictor)


def demonstrate(args):
    """Check what is needed, then draw."""
    complete(args)
    keep_pages()
    predictor = predictor_of(args)
    done = []
    with TemporaryDirectory() as folder:
        targets = prepare(args, predictor, folder)
        with suppress(KeyboardInterrupt):  # which ends a camera's video; what is done is kept
            done.extend(targets)
    if predictor.predictions:
        dump(predictor.predictions.images, args.pred_out, indent=1)
        done.append(args.pred_out)
    print(*map(truncate, done), sep='\n')
    if not done:
        sys.exit('nothing was drawn')


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, demonstrate)


if __name__ == '__main__':
    main()
