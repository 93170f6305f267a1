"""The tools that draw: predictions on images and videos, ground truth on a dataset; the config."""

import argparse
import importlib
import json
import pickle
import shlex
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import CONFIGS

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import browse_dataset
import image_demo
import print_config
from demo.dataset import make_demo_set
from demo.mode import adapt
from lib.drawing import Painter, scale_lines
from lib.predictions import Predictions
from lib.usage import UsageError
from mmdet.datasets import CocoDataset
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.datasets import ADE20KDataset
from PIL import Image

from mmbackbones import CheckpointError, load_checkpoint

test_tool = importlib.import_module('test')
ROOT = Path(__file__).parent.parent
NAMES = CocoDataset.METAINFO['classes']
COLOURS = np.array(ADE20KDataset.METAINFO['palette'])[:, ::-1]  # BGR
NUMBERS = dict(dims=(16, 32, 64, 128), depths=(1, 1, 1, 1), heads=(1, 2, 4, 8))
HEAD = "demo = dict(root='{folder}/demo', train=4, val=2, size=64)\n_base_ = '{base}'\n"
BACKBONE = f'backbone=dict(arch=dict(_delete_=True, **{NUMBERS}))'
SCORES = 'test_cfg=dict(rcnn=dict(score_thr=0.0, max_per_img=8))'
DETECTOR = f'model = dict({BACKBONE}, neck=dict(in_channels={list(NUMBERS["dims"])}), {SCORES})\n'
SEGMENTER = (
    f'model = dict({BACKBONE}, decode_head=dict(in_channels={list(NUMBERS["dims"])}), '
    'auxiliary_head=dict(in_channels=64))\n'
)


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """A folder with a small detector, a segmenter, and a demo set."""
    folder = tmp_path_factory.mktemp('work')
    for name, base, text in (('det', 'mask_rcnn', DETECTOR), ('seg', 'upernet', SEGMENTER)):
        head = HEAD.format(folder=folder, base=ROOT / f'configs/{base}_swin_t.py')
        (folder / f'{name}.py').write_text(head + text)
    make_demo_set(folder / 'demo', train=4, val=2, size=64)
    return folder


@pytest.fixture
def call(work, tmp_path, monkeypatch):
    """Run a tool in an empty folder; the words are its arguments, `{work}` the folder above."""
    monkeypatch.chdir(tmp_path)

    def function(tool, words):
        arguments = shlex.split(words.format(work=work))
        monkeypatch.setattr(sys, 'argv', [tool.__name__, *arguments])
        tool.main()

    function.write = lambda path, text: path.write_text(text.replace('{work}', str(work)))
    return function


@pytest.fixture
def said(monkeypatch):
    """What the visualizer of detections is told to draw: texts and boxes."""
    told = dict(texts=[], boxes=[])
    for name, kind in (('draw_texts', 'texts'), ('draw_bboxes', 'boxes')):
        real = getattr(DetLocalVisualizer, name)

        def spy(self, what, *args, real=real, kind=kind, **options):
            told[kind].append(what)
            return real(self, what, *args, **options)

        monkeypatch.setattr(DetLocalVisualizer, name, spy)
    return told


def picture(path):
    """A picture as numbers that can be subtracted."""
    return cv2.imread(str(path)).astype(int)


def strip(drawn):
    """Whether the top 20 rows are white with something red on it."""
    red = (drawn[:20, :, 2] - drawn[:20, :, 0]) > 100
    return drawn[0].min() > 240 and 0.01 < red.mean() < 0.5


def photo(path, height=90, width=120):
    """A smooth image in many colours."""
    y, x = np.mgrid[:height, :width]
    cv2.imwrite(str(path), np.dstack([2 * x, 2 * y, x + y]).astype(np.uint8))
    return path


def weights(config, path):
    """A checkpoint of the model of a config with random weights; its tensors."""
    from lib.flops import build

    torch.manual_seed(1)
    tensors = build(Config.fromfile(config)).state_dict()
    torch.save(dict(meta={}, state_dict=tensors), path)
    return tensors


def test_boxes_and_masks_of_random_weights_are_drawn_and_called_so(call, tmp_path, said, capsys):
    before = picture(photo(tmp_path / 'a.png'))
    call(image_demo, 'a.png {work}/det.py --demo --score-thr 0')
    out, err = capsys.readouterr()
    assert out.splitlines() == ['outputs/a.png']
    assert 'random weights' in err
    drawn = picture('outputs/a.png')
    assert drawn.shape == (110, 120, 3)
    assert strip(drawn)
    assert len(said['texts']) == 8
    assert {text.split(': ')[0] for text in said['texts']} <= set(NAMES)
    changed = (abs(drawn[20:] - before) > 8).any(2).mean()
    assert changed > 0.02
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.png', 'outputs']
    call(image_demo, 'a.png {work}/det.py --demo --score-thr 1 --out-dir none')
    # Nothing is above this score; some versions of mm and Matplotlib resample the image.
    assert abs(picture('none/a.png')[20:] - before).max() <= 8


def test_images_of_odd_sizes_do_not_take_their_folder_with_them(call, tmp_path, capsys):
    folder = tmp_path / 'images'
    folder.mkdir()
    for name, size in (('wide', (5, 2000)), ('dot', (1, 1)), ('good', (90, 120))):
        photo(folder / f'{name}.png', *size)
    call(image_demo, 'images {work}/seg.py --demo')
    out, err = capsys.readouterr()
    assert 'outputs/good.png' in out.splitlines()
    assert 'passed over: images/wide.png of 2000 x 5 pixels (' in err
    for name in ('wide', 'dot'):
        assert (f'outputs/{name}.png' in out) != (f'passed over: images/{name}.png' in err)


def test_a_checkpoint_gives_the_same_picture_without_a_strip(call, work, tmp_path, said):
    photo(tmp_path / 'a.png')
    weights(work / 'det.py', tmp_path / 'w.pth')
    words = 'a.png {work}/det.py --demo --weights w.pth --score-thr 0 --out-dir '
    call(image_demo, words + 'one')
    first, said['texts'][:] = said['texts'][:], []
    call(image_demo, words + 'two')
    assert len(first) == 8
    assert first == said['texts']
    assert picture('one/a.png').shape == (90, 120, 3)


def test_a_model_with_a_foreign_backbone_is_read_whole(work, tmp_path):
    from lib.flops import build

    cfg = Config.fromfile(work / 'det.py')
    cfg.model.backbone = dict(type='mmdet.ResNet', depth=18)
    cfg.model.neck.in_channels = [64, 128, 256, 512]
    ours, theirs = build(cfg), build(cfg)
    tensors = theirs.state_dict()
    torch.save(dict(state_dict=tensors), tmp_path / 'w.pth')
    load_checkpoint(ours, tmp_path / 'w.pth')
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in ours.state_dict().items())
    tensors.pop('backbone.conv1.weight')
    torch.save(dict(state_dict=tensors), tmp_path / 'cut.pth')
    with pytest.raises(CheckpointError, match='lacks 1 tensors'):
        load_checkpoint(ours, tmp_path / 'cut.pth')
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='holds no tensors by name'):
        load_checkpoint(ours, tmp_path / 'list.pth')


def test_a_detector_of_mmdet_is_read_whole(work, tmp_path):
    """With mmdet's own Swin as backbone: other names, another layout, the same maps and heads."""
    from lib.flops import build, sample

    cfg = Config.fromfile(work / 'det.py')
    ours = build(cfg)
    swin = dict(embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8), drop_path_rate=0.0)
    cfg.model.backbone = dict(type='SwinTransformer', **swin)
    theirs = build(cfg)
    torch.save(dict(state_dict=theirs.state_dict()), tmp_path / 'w.pth')
    load_checkpoint(ours, tmp_path / 'w.pth')
    image, samples = torch.rand(1, 3, 64, 96), [sample('mmdet', (64, 96))]
    with torch.no_grad():
        maps, wanted = ours.extract_feat(image), theirs.extract_feat(image)
        found, truth = (net.predict(image, samples)[0].pred_instances for net in (ours, theirs))
    for one, other in zip(maps, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert torch.allclose(found.bboxes, truth.bboxes, atol=1e-3)
    assert torch.allclose(found.scores, truth.scores, atol=1e-5)


def test_maps_of_a_folder_of_images_have_the_colours_of_classes(call, tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    before = picture(photo(tmp_path / 'in/a.png'))
    photo(tmp_path / 'in/b.jpg', 40, 70)
    (tmp_path / 'in/notes.txt').write_text('no image')
    (tmp_path / 'in/cut.png').write_bytes((tmp_path / 'in/a.png').read_bytes()[:200])
    call(image_demo, 'in {work}/seg.py --demo --out-dir deep/out')
    out, err = capsys.readouterr()
    assert out.splitlines() == ['deep/out/a.png', 'deep/out/b.jpg']
    assert 'in/cut.png is damaged' in err
    assert picture('deep/out/b.jpg').shape == (60, 70, 3)
    drawn = picture('deep/out/a.png')
    assert drawn.shape == (110, 120, 3)
    tints = (drawn[20:] - 0.2 * before) / 0.8  # the visualizer's opacity is 0.8
    nearest = abs(tints[:, :, None] - COLOURS).max(3).min(2)
    assert (nearest < 3).mean() > 0.5  # the rest is names, and their boxes


def test_what_is_no_image_is_named_and_sub_folders_keep_equal_names_apart(call, tmp_path, capsys):
    for part in ('x', 'y'):
        (tmp_path / 'in' / part).mkdir(parents=True)
        photo(tmp_path / 'in' / part / 'a.png')
    header = b'\x89PNG\r\n\x1a\n' + part_of_png(b'IHDR', struct.pack('>IIBBBBB', *HUGE))
    (tmp_path / 'in/huge.png').write_bytes(header + part_of_png(b'IDAT', b'') + END)
    (tmp_path / 'in/empty.jpg').write_bytes(b'')
    (tmp_path / 'in/text.png').write_text('no image')
    (tmp_path / 'in/\x1b]0;title\a.png').write_text('no image')
    (tmp_path / 'in/notes.txt').write_text('no image')
    (tmp_path / 'in/._a.png').write_text('no image')
    for _ in range(2):  # pictures of the first time are no images of the second
        call(image_demo, 'in {work}/seg.py --demo --out-dir in/out')
        out, err = capsys.readouterr()
        assert out.splitlines() == ['in/out/x/a.png', 'in/out/y/a.png']
        for name in ('empty.jpg', 'huge.png', 'text.png', '?]0;title?.png'):
            assert f'passed over: in/{name} is damaged or no image (' in err
        assert 'passed over: 1 files that are no images by their suffix' in err
        assert '\x1b]0' not in err
        assert err.count('passed over') == 5
    call(image_demo, 'in/x {work}/seg.py --demo --out-dir .')  # a folder above is as good as others
    assert capsys.readouterr().out.splitlines()[0] == 'a.png'


HUGE = 100000, 100000, 8, 2, 0, 0, 0  # 100000 x 100000 pixels of 8 bits, RGB


def part_of_png(kind, data):
    """A chunk of a PNG file."""
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


END = part_of_png(b'IEND', b'')


@pytest.mark.parametrize(('name', 'codec'), [('clip.avi', 'MJPG'), ('clip.mp4', 'mp4v')])
def test_a_video_keeps_its_name_length_and_speed(call, tmp_path, name, codec, capsys):
    path = str(tmp_path / name)
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*codec), 5, (64, 48))
    for level in (50, 120, 190):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    call(image_demo, f'{name} {{work}}/det.py --demo')
    assert capsys.readouterr().out == f'outputs/{name}\n'
    video = cv2.VideoCapture(f'outputs/{name}')
    frames = [video.read()[1] for _ in range(3)]
    assert not video.read()[0]
    assert video.get(cv2.CAP_PROP_FPS) == 5
    for frame, level in zip(frames, (50, 120, 190), strict=True):
        assert frame.shape == (68, 64, 3)
        assert frame[:4].mean() > 240  # the strip
        assert abs(frame[24:].mean() - level) < 10  # MPEG-4 stores other colours


class Camera:
    """Three frames, then somebody presses Ctrl-C."""

    def __init__(self, number):
        self.frames = [np.full((48, 64, 3), level, np.uint8) for level in (50, 120, 190)]
        assert number == 2

    def isOpened(self):
        return True

    def get(self, what):
        return -1.0

    def read(self):
        if not self.frames:
            raise KeyboardInterrupt
        return True, self.frames.pop(0)


def test_a_camera_is_drawn_until_ctrl_c(call, monkeypatch, capsys):
    with monkeypatch.context() as fake:
        fake.setattr(cv2, 'VideoCapture', Camera)
        call(image_demo, 'camera:2 {work}/seg.py --demo --pred-out found.json')
    assert capsys.readouterr().out.splitlines() == ['outputs/camera_2.avi', 'found.json']
    video = cv2.VideoCapture('outputs/camera_2.avi')
    assert [video.read()[0] for _ in range(4)] == [True, True, True, False]
    found = json.loads(Path('found.json').read_text())
    assert [entry['image'] for entry in found] == [f'camera:2#{frame}' for frame in range(3)]


def test_images_and_videos_by_url(call, tmp_path, serve, capsys):
    photo(tmp_path / 'a.png')
    writer = cv2.VideoWriter('clip.avi', cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    address = serve(tmp_path)
    call(image_demo, f'{address}/a.png?size=1 {{work}}/seg.py --demo --pred-out found.json')
    call(image_demo, f'{address}/clip.avi {{work}}/seg.py --demo')
    assert picture('outputs/a.png').shape == (110, 120, 3)
    assert cv2.VideoCapture('outputs/clip.avi').read()[0]
    assert json.loads(Path('found.json').read_text())[0]['image'] == f'{address}/a.png?size=1'
    capsys.readouterr()
    with pytest.raises(SystemExit):
        call(image_demo, f'{address}/none.png {{work}}/seg.py --demo')
    assert 'none.png: HTTP Error 404' in capsys.readouterr().err


def test_predictions_of_a_detector_are_those_of_the_test_loop(call, work, tmp_path):
    weights(work / 'det.py', tmp_path / 'w.pth')
    words = '{work}/det.py w.pth --demo --out kept.pkl --show-dir shown --work-dir tested'
    call(test_tool, words)
    kept = pickle.loads(Path('kept.pkl').read_bytes())
    words = '{work}/det.py --demo --weights w.pth --pred-out found.json'
    call(image_demo, '{work}/demo/coco/val2017 ' + words)
    found = json.loads(Path('found.json').read_text())
    assert len(found) == len(kept) == 2
    for entry, sample in zip(found, kept, strict=True):
        assert entry['image'] == str(sample['img_path'])
        wanted, rows = sample['pred_instances'], entry['predictions']
        assert len(rows) == 8
        assert np.allclose([row['bbox'] for row in rows], wanted['bboxes'], atol=1e-4)
        assert np.allclose([row['score'] for row in rows], wanted['scores'], atol=1e-6)
        assert [row['class'] for row in rows] == [NAMES[label] for label in wanted['labels']]
        counts = [mask['counts'].decode() for mask in wanted['masks']]
        assert [row['mask']['counts'] for row in rows] == counts
    assert sorted(path.name for path in Path('shown').iterdir()) == [
        '000000000001.jpg',
        '000000000002.jpg',
    ]


LOADERS = """
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module(force=True)
class LoadNumbers(BaseTransform):
    def transform(self, results):
        image = np.load(results['img_path'])
        return dict(results, img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
"""
FOLDERS = """
_base_ = '{work}/seg.py'
custom_imports = dict(imports=['mmbackbones', 'loaders'], allow_failed_imports=False)
pipeline = [
    {loader},
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
parts = [
    dict(
        type='BaseSegDataset',
        data_prefix=dict(img_path='images/' + part, seg_map_path='maps/' + part),
        img_suffix='{suffix}',
        metainfo=dict(classes=('a', 'b', 'c')),
        pipeline=pipeline,
    )
    for part in 'xy'
]
test_dataloader = dict(
    _delete_=True,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=parts),
)
train_dataloader = test_dataloader
test_evaluator = [dict(type='IoUMetric', iou_metrics=['mIoU'])]
tta_pipeline = [
    pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [pipeline[1]],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [pipeline[2]],
            [pipeline[3]],
        ],
    ),
]
visualizer = None
default_hooks = dict(_delete_=True)
model = dict(
    backbone=dict(in_channels={channels}),
    data_preprocessor=dict(mean={numbers}, std={numbers}, bgr_to_rgb=False),
    decode_head=dict(num_classes=3, channels=32),
    auxiliary_head=dict(num_classes=3, channels=32),
)
"""
GREY = pytest.param('grey', marks=pytest.mark.slow)
DEPTHS = {
    '16 bits': ("dict(type='LoadImageFromFile', color_type='unchanged')", '.png', 3, 30000.0),
    'grey': ("dict(type='LoadImageFromFile', color_type='grayscale')", '.png', 1, 128.0),
    '6 channels': ("dict(type='LoadNumbers')", '.npy', 6, None),
}


@pytest.mark.parametrize(
    'kind',
    [pytest.param(kind, marks=pytest.mark.slow if kind == 'grey' else ()) for kind in DEPTHS],
)
def test_images_of_any_loader_are_those_of_the_test_loop(call, tmp_path, monkeypatch, capsys, kind):
    """Predicted as by test.py, drawn by each tool; two folders hold images of the same name."""
    loader, suffix, channels, number = DEPTHS[kind]
    text = FOLDERS.replace('{loader}', loader).replace('{suffix}', suffix)
    text = text.replace('{channels}', str(channels))
    text = text.replace('{numbers}', str([number] * channels if number else None))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'loaders.py').write_text(LOADERS)
    write_folders(tmp_path, kind, suffix)
    call.write(tmp_path / 'c.py', text)
    weights(tmp_path / 'c.py', tmp_path / 'w.pth')
    call(test_tool, 'c.py w.pth --work-dir tested --out kept --show-dir shown')
    call(image_demo, 'images c.py --weights w.pth --pred-out found.json')
    call(browse_dataset, 'c.py')
    said = capsys.readouterr()
    assert 'passed over' not in said.err
    assert ('of 6 channels the first three are drawn' in said.err) == (channels == 6)
    found = json.loads(Path('found.json').read_text())
    assert [entry['image'] for entry in found] == [f'images/{part}/a{suffix}' for part in 'xy']
    for entry, part in zip(found, 'xy', strict=True):
        numbers = cv2.imread(entry['map'], cv2.IMREAD_UNCHANGED)
        assert (numbers == cv2.imread(f'kept/{part}/a.png', cv2.IMREAD_UNCHANGED)).all()
        areas = {row['label']: row['pixels'] for row in entry['predictions']}
        assert areas == {label: (numbers == label).sum() for label in np.unique(numbers)}
        assert sum(row['share'] for row in entry['predictions']) == pytest.approx(1)
        size = numbers.shape
        for folder in ('shown', 'outputs', 'outputs/browse'):
            name = 'a.png' if folder == 'shown' or suffix == '.png' else 'a.npy.png'
            drawn = picture(Path(folder, part, name))
            wide = 2 * size[1] if folder == 'shown' else size[1]
            assert folder == 'outputs/browse' or drawn.shape == (size[0], wide, 3)
            assert drawn.std() > 5
    if kind == 'grey':
        call(test_tool, 'c.py w.pth --work-dir tested --tta --out kept.pkl')
        assert len(pickle.loads(Path('kept.pkl').read_bytes())) == 2


def test_segments_of_a_panoptic_map_are_kept_by_class(tmp_path):
    sample = DetDataSample()
    numbers = torch.tensor([[[3, 3, 1003], [7, 7, 2003]]])  # class + 1000 * instance
    sample.pred_panoptic_seg = PixelData(sem_seg=numbers)
    kept = Predictions(tmp_path / 'found.json', ('a', 'b', 'c', 'd'))
    kept.add('in/a.jpg', Path('a.jpg'), (2, 3), sample)
    (entry,) = kept.images
    wanted = [dict(label=3, pixels=4, share=4 / 6), dict(label=7, pixels=2, share=2 / 6)]
    names = ('d', 'class 7')  # the dataset knows four
    assert entry['predictions'] == [
        {**row, 'class': n} for row, n in zip(wanted, names, strict=True)
    ]
    assert cv2.imread(entry['map'], cv2.IMREAD_UNCHANGED).tolist() == [[3, 3, 3], [7, 7, 3]]


def test_augmentation_at_test_time_reaches_datasets_in_wrappers():
    data = [dict(type=kind, pipeline=[]) for kind in ('CocoDataset', CocoDataset)]
    repeated = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=data))
    cfg = Config(
        dict(
            model=dict(type='RetinaNet'),
            test_dataloader=dict(dataset=repeated),
            tta_model=dict(type='DetTTAModel'),
            tta_pipeline=[dict(type='LoadImageFromFile'), dict(type='TestTimeAug')],
        )
    )
    test_tool.use_tta(cfg)
    assert cfg.model.to_dict() == dict(type='DetTTAModel', module=dict(type='RetinaNet'))
    for each in cfg.test_dataloader.dataset.dataset.datasets:
        assert [step.type for step in each.pipeline] == ['LoadImageFromFile', 'TestTimeAug']
    cfg.tta_model = None
    with pytest.raises(UsageError, match='the config lacks tta_model'):
        test_tool.use_tta(cfg)


def test_a_preprocessor_beside_the_model_is_that_of_the_test_loop(work):
    cfg = Config.fromfile(work / 'seg.py')
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')
    args = argparse.Namespace(weights=None, device='cpu')
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = image_demo.build(cfg, args)
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx(
        [123.675, 116.28, 103.53]
    )


def test_a_visualizer_that_draws_nothing_is_named(call, capsys):
    photo(Path('a.png'))
    with pytest.raises(SystemExit, match='is Visualizer, which does not draw'):
        call(image_demo, 'a.png {work}/seg.py --demo --cfg-options visualizer.type=Visualizer')


def write_folders(root, kind, suffix):
    """Images of a kind in folders x and y, both called a, of another size each; their maps."""
    for part, width in (('x', 80), ('y', 64)):
        for folder in ('images', 'maps'):
            (root / folder / part).mkdir(parents=True)
        y, x = np.mgrid[:48, :width]
        cv2.imwrite(str(root / f'maps/{part}/a.png'), (x // 16 % 3).astype(np.uint8))
        numbers = np.stack([x // 16 % 3 * 20000, 700 * x, 900 * y], -1).astype(np.uint16)
        path = str(root / f'images/{part}/a{suffix}')
        if suffix == '.npy':
            np.save(path, np.dstack([numbers, numbers]).astype(np.float32) / 65535)
        else:
            cv2.imwrite(path, numbers if kind == '16 bits' else (numbers // 256).astype(np.uint8))


def test_prediction_and_picture_lie_as_the_loader_turns_a_photo(call, tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8))
    exif = image.getexif()
    exif[0x112] = 6  # turn by 90 degrees
    image.save(tmp_path / 'a.jpg', exif=exif)
    key = 'test_dataloader.dataset.pipeline.0.color_type'
    for kind, size in (('color', (100, 60)), ('color_ignore_orientation', (60, 100))):
        call(
            image_demo,
            f'a.jpg {{work}}/seg.py --demo --pred-out {kind}.json --cfg-options {key}={kind}',
        )
        assert picture('outputs/a.jpg').shape == (size[0] + 20, size[1], 3)
        assert cv2.imread(f'{kind}_maps/a.png', 0).shape == size


WRONG = [
    ('none.png {work}/det.py', 'there is no image, folder or video none.png'),
    ('notes.txt {work}/det.py', 'notes.txt is neither an image nor a video'),
    ('false.mp4 {work}/det.py', 'false.mp4 is neither an image nor a video'),
    ('empty {work}/det.py', 'empty holds no images'),
    ('a.png none.py', 'there is no config none.py'),
    ('{work}/det.py a.png', 'there is no config a.png'),
    ('a.png {work}/det.py --cfg-options default_scope=mmpose', 'CocoDataset is not in the'),
    ('a.png {work}/det.py --device nowhere', '--device nowhere: '),
    ('a.png {work}/det.py --out-dir a.png', 'cannot write into a.png: '),
    ('a.png {work}/det.py --out-dir .', 'would take the place of images'),
    ('a.png {work}/det.py --weights none.pth', 'there is no checkpoint none.pth'),
    ('a.png {work}/det.py --weights a.png', 'bytes) is no whole checkpoint'),
    ('a.png {work}/det.py --weights empty', 'empty is a folder; give a file of it'),
    ('a.png {work}/det.py --weights http://127.0.0.1:1/w.pth', 'w.pth cannot be downloaded ('),
    ('a.png {work}/det.py --weights less.pth', 'it lacks 2 tensors (rpn_head.rpn_reg.weight, '),
    ('a.png {work}/det.py --weights more.pth', 'has 1 unknown ones (other)'),
    (
        'a.png {work}/det.py --weights other.pth',
        '1 tensors have other sizes (rpn_head.rpn_reg.bias, (5,) and here (12,))',
    ),
    ('a.png {work}/seg.py --weights w.pth', 'lacks'),
    ('a.png {work}/det.py --weights code.pth', 'which is no weight and might run code'),
]


@pytest.fixture(scope='module')
def files(work, tmp_path_factory):
    """What can be wrong with images and checkpoints."""
    folder = tmp_path_factory.mktemp('files')
    photo(folder / 'a.png')
    (folder / 'notes.txt').write_text('no image')
    (folder / 'false.mp4').write_text('no video')
    (folder / 'empty').mkdir()
    tensors = weights(work / 'det.py', folder / 'w.pth')
    less = {name: value for name, value in tensors.items() if 'rpn_reg' not in name}
    torch.save(less, folder / 'less.pth')
    torch.save(dict(tensors, other=torch.zeros(1)), folder / 'more.pth')
    torch.save({**tensors, 'rpn_head.rpn_reg.bias': torch.zeros(5)}, folder / 'other.pth')
    torch.save(dict(tensors, code=cv2.imread), folder / 'code.pth')
    return folder


@pytest.mark.parametrize(('words', 'sentence'), WRONG)
def test_what_is_wrong_is_one_sentence(call, files, monkeypatch, capfd, words, sentence):
    monkeypatch.chdir(files)
    with pytest.raises(SystemExit) as stop:
        call(image_demo, words)
    assert stop.value.code == 2
    error = capfd.readouterr().err.split('image_demo: error: ')[1]
    assert sentence in error
    assert error.count('\n') == 1
    assert 'Traceback' not in error


def test_a_machine_without_gpus_says_so(call, files, monkeypatch, capsys):
    if torch.cuda.is_available():
        pytest.skip('there is one')
    monkeypatch.chdir(files)
    with pytest.raises(SystemExit):
        call(image_demo, 'a.png {work}/det.py --device cuda')
    assert '--device cuda: ' in capsys.readouterr().err


def test_labels_stay_inside_the_picture():
    class Dataset:
        metainfo = dict(classes=NAMES)

    cfg = Config(dict(visualizer=dict(type='mmdet.DetLocalVisualizer', name='labels')))
    visualizer = Painter(cfg, Dataset).visualizer
    image = np.zeros((80, 100, 3), np.uint8)
    scale_lines(visualizer, image)
    visualizer.set_image(image)
    for x in (5, 90):
        visualizer.draw_texts('stop sign: 99.9', np.array([x, 20]), font_sizes=6)
    left, right = (label.get_window_extent() for label in visualizer.ax_save.texts)
    assert left.x0 == pytest.approx(5, abs=2)
    assert 95 < right.x1 <= 100


def test_browsing_draws_the_truth_as_the_model_gets_it(call, work, said, capsys):
    """Boxes of a validation set too, whose pipeline resizes the image alone."""
    size = "'val_dataloader.dataset.pipeline.1.scale=(96,96)'"
    call(browse_dataset, f'{{work}}/det.py --demo --phase val --cfg-options {size}')
    assert capsys.readouterr().out.splitlines()[-1] == 'pictures: outputs/browse'
    names = sorted(path.name for path in Path('outputs/browse').iterdir())
    assert names == ['000000000001.jpg', '000000000002.jpg']
    coco = json.loads((work / 'demo/coco/annotations/instances_val2017.json').read_text())
    truth = [each for each in coco['annotations'] if each['image_id'] == 1]
    corners = np.array([each['bbox'] for each in truth]) @ BOX_TO_CORNERS
    assert np.allclose(said['boxes'][0], 1.5 * corners, atol=0.01)
    kinds = {each['id']: each['name'] for each in coco['categories']}
    assert said['texts'][: len(truth)] == [kinds[each['category_id']] for each in truth]
    drawn = picture('outputs/browse/000000000001.jpg')
    before = cv2.imread(str(work / 'demo/coco/val2017/000000000001.jpg'))
    difference = abs(drawn - cv2.resize(before, (96, 96)).astype(int)).max(2)
    assert np.median(difference) < 12 < difference.max()  # red and blue are not swapped


BOX_TO_CORNERS = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_browsing_a_segmenter_for_training(call, work):
    call(browse_dataset, '{work}/seg.py --demo --number 3 --out-dir seen')
    paths = sorted(Path('seen').iterdir())
    assert len(paths) == 3
    for path in paths:
        before = picture(work / 'demo/ade/images/training' / path.name)
        label = cv2.imread(str(work / f'demo/ade/annotations/training/{path.stem}.png'), 0)
        wanted = 0.2 * before + 0.8 * COLOURS[label.astype(int) - 1]
        drawn = picture(path)
        close = min(abs(drawn - w).mean() for w in (wanted, wanted[:, ::-1]))  # or flipped
        assert close < 20


def test_browsing_after_copy_paste_and_of_repeated_images(call, work, tmp_path, capsys):
    data = "data_root='{work}/demo/coco/', ann_file='annotations/instances_train2017.json'"
    text = f"""
_base_ = '{{work}}/det.py'
data = dict(
    type='CocoDataset',
    {data},
    data_prefix=dict(img='train2017/'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='Resize', scale=(96, 96), keep_ratio=False),
    ],
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=data,
        pipeline=[dict(type='CopyPaste'), dict(type='PackDetInputs')],
    )
)
pack = dict(type='PackDetInputs')
data = dict(data, pipeline=[*data['pipeline'], pack])
test_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=2, dataset=data))
test_evaluator = dict(ann_file=data['data_root'] + data['ann_file'])
val_dataloader = None
"""
    call.write(tmp_path / 'c.py', text)
    call(browse_dataset, 'c.py')
    names = [f'00000000000{number}' for number in range(1, 5)]
    assert sorted(path.stem for path in Path('outputs/browse').iterdir()) == names
    assert all(picture(path).std() > 5 for path in Path('outputs/browse').iterdir())
    call(browse_dataset, 'c.py --phase test --out-dir twice --number 6')
    twice = [*names, f'{names[0]}_2', f'{names[1]}_2']
    assert sorted(path.stem for path in Path('twice').iterdir()) == sorted(twice)
    with pytest.raises(SystemExit):
        call(browse_dataset, 'c.py --phase val')
    assert 'c.py has no val_dataloader with a dataset' in capsys.readouterr().err


def test_browsing_keeps_the_dataset(call, capsys):
    with pytest.raises(SystemExit):
        call(browse_dataset, '{work}/seg.py --demo --out-dir {work}/demo/ade/images/training')
    assert 'would take the place of images' in capsys.readouterr().err


def test_browsing_without_data_says_what_is_missing(call, capsys):
    with pytest.raises(SystemExit):
        call(browse_dataset, '{work}/det.py')
    assert 'is missing: download train2017' in capsys.readouterr().err


def test_what_is_printed_is_the_config(call, work, tmp_path, capsys):
    words = '{work}/det.py --demo --cfg-options model.neck.num_outs=4 --save-path kept/c.json'
    call(print_config, words)
    (tmp_path / 'printed.py').write_text(capsys.readouterr().out)
    cfg = Config.fromfile(work / 'det.py')
    adapt(cfg)
    cfg.model.neck.num_outs = 4
    assert Config.fromfile('printed.py').to_dict() == cfg.to_dict()
    assert Config.fromfile('kept/c.json').model.to_dict() == json.loads(json.dumps(cfg.model))
    assert cfg.train_dataloader.dataset.data_root == f'{work}/demo/coco'


def test_a_config_is_written_as_one(call, capsys):
    with pytest.raises(SystemExit):
        call(print_config, '{work}/det.py --save-path c.txt')
    assert '--save-path c.txt must end in one of .py' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('tool', [image_demo, browse_dataset, print_config])
def test_the_example_works_as_it_is_pasted(tool, call, tmp_path, capsys):
    for name in ('configs', '.github'):
        (tmp_path / name).symlink_to(ROOT / name)
    with pytest.raises(SystemExit):
        call(tool, '--help')
    example = capsys.readouterr().out.split(f'python tools/{tool.__name__}.py ')[1]
    call(tool, example.split('\n')[0])
    assert tool is print_config or [*Path('outputs').rglob('*.jpg')]


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_draws(path, call, tmp_path):
    from test_config_steps import shorten

    cfg = Config.fromfile(path)
    shorten(cfg.model.backbone)
    arch = dict(cfg.model.backbone.arch, _delete_=True)
    head = HEAD.format(folder=tmp_path, base=path)
    scores = f', {SCORES}' if 'rcnn' in (cfg.model.get('test_cfg') or {}) else ''
    (tmp_path / 'c.py').write_text(f'{head}model = dict(backbone=dict(arch={arch}){scores})\n')
    photo(tmp_path / 'a.png')
    call(image_demo, 'a.png c.py --demo --score-thr 0')
    drawn = picture('outputs/a.png')
    assert drawn.shape == (110, 120, 3)
    assert strip(drawn)
    assert (abs(drawn[20:] - picture('a.png')) > 8).mean() > 0.01
