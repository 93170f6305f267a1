"""Files of tools/export.py run without PyTorch, and give what mm gives."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip('onnxruntime')
pytest.importorskip('onnx')
pytest.importorskip('cv2')

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from deploy_files import FOUND, write, write_segmenter
from onnx import helper

from mmbackbones import deploy
from mmbackbones.deploy import Detector, Segmenter

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / '.github/demo_set.jpg'
OF_FORMAT_2 = '{"format": 2}'


def noise(*shape):
    """An array of random bytes."""
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def file(tmp_path):
    """A file that finds a dog and a bird at 120 x 80 pixels."""
    return write(tmp_path / 'tiny.onnx', FOUND)


@pytest.fixture
def without_opencv(monkeypatch):
    """The module as it is where OpenCV is not installed."""
    monkeypatch.setattr(deploy, 'cv2', None)


def test_boxes_lie_in_the_picture_s_own_pixels(file):
    found = Detector(file)(noise(160, 240, 3))
    assert found['boxes'].tolist() == [[20, 40, 120, 100], [0, 0, 10, 10]]
    assert (found['names'], found['labels'].tolist()) == (['dog', 'bird'], [1, 2])
    assert found['scores'].dtype == np.float32
    found = Detector(file)(noise(160, 240, 3), score_threshold=0.5)
    assert (found['names'], found['boxes'].shape) == (['dog'], (1, 4))


def test_nothing_found_is_no_error(file):
    found = Detector(file)(noise(1, 1, 3), score_threshold=1)
    assert (found['names'], found['boxes'].shape, found['scores'].shape) == ([], (0, 4), (0,))


@pytest.mark.parametrize('name', ['detector.onnx', 'detector.xml'])
def test_openvino_runs_both_kinds_of_files(name, file, tmp_path):
    openvino = pytest.importorskip('openvino')
    path = tmp_path / name
    if path.suffix == '.xml':
        openvino.save_model(openvino.convert_model(file), path)
    else:
        shutil.copy(file, path)
    model = Detector(path, engine='openvino')
    images = [noise(160, 240, 3), noise(80, 120, 3)]
    with ThreadPoolExecutor(4) as pool:
        founds = list(pool.map(model, images * 8))
    for image, found in zip(images * 8, founds, strict=True):
        assert found['boxes'][0].tolist() == [side * len(image) / 80 for side in (10, 20, 60, 50)]
        assert found['names'] == ['dog', 'bird']


def test_the_description_may_lie_where_our_exporter_puts_it(file, tmp_path):
    openvino = pytest.importorskip('openvino')
    model = openvino.Core().read_model(file)
    text = model.get_rt_info(['framework', 'mmbackbones']).astype(str)
    model.set_rt_info(text.replace('dog', 'hound'), ['mmbackbones', 'metadata'])
    openvino.save_model(model, tmp_path / 'own.xml')
    assert Detector(tmp_path / 'own.xml').classes == ['cat', 'hound', 'bird']


SIZES = [(1, 1), (37, 51), (80, 120), (160, 240), (300, 200), (75, 250), (500, 3)]


@pytest.mark.parametrize('with_opencv', [True, False])
@pytest.mark.parametrize('keep_ratio', [True, False])
def test_pictures_are_resized_as_mm_resizes_them(keep_ratio, with_opencv, tmp_path, monkeypatch):
    from mmcv.transforms import Resize

    if not with_opencv:
        monkeypatch.setattr(deploy, 'cv2', None)
    settings = dict(scale=[120, 80], keep_ratio=keep_ratio)
    file = write_segmenter(tmp_path / 'red.onnx', resize=dict(settings, interpolation='bilinear'))
    model = Segmenter(file)
    step = Resize(scale=(120, 80), keep_ratio=keep_ratio)
    for size in SIZES:
        image = noise(*size, 3)
        wanted = step(dict(img=image))['img']
        assert (model.prepare(image).image == wanted).all(), size
        assert (model.run(wanted)['classes'] == wanted[..., 0]).all()


def test_a_resize_without_opencv_is_equal_to_the_bit(without_opencv):
    random = np.random.default_rng(0)
    for number in range(60):
        size, (height, width) = random.integers(1, 90, 2), random.integers(1, 120, 2)
        if number % 4 == 0:
            size = 2 * height, 2 * width  # for which OpenCV has a way of its own
        image = noise(*size, 3)
        wanted = cv2.resize(image, (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
        assert (deploy.resize(image, height, width) == wanted).all()


def test_no_resize_where_the_config_has_none(tmp_path):
    file = write_segmenter(tmp_path / 'red.onnx', resize=dict(scale=None, keep_ratio=True))
    image = noise(33, 45, 3)
    found = Segmenter(file)(image)
    assert (found['classes'] == image[..., 0]).all()
    assert found['labels'].tolist() == np.unique(image[..., 0]).tolist()
    assert len(found['names']) == len(found['labels'])


def test_files_are_read_as_rgb_and_as_mm_reads_them(tmp_path):
    from mmcv.transforms import LoadImageFromFile

    grey, clear = tmp_path / 'grey.png', tmp_path / 'clear.png'
    cv2.imwrite(str(grey), noise(20, 30))
    cv2.imwrite(str(clear), noise(20, 30, 4))
    for path in (PICTURE, grey, clear):
        wanted = LoadImageFromFile()(dict(img_path=str(path)))['img'][..., ::-1]
        assert (deploy.read_picture(path) == wanted).all()


def test_pictures_turned_by_their_camera_are_turned_by_both_readers(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    Image.fromarray(noise(20, 30, 3)).save(tmp_path / 'turned.png', exif=exif)
    wanted = np.rot90(noise(20, 30, 3), -1)
    assert (deploy.read_picture(tmp_path / 'turned.png') == wanted).all()
    assert (deploy.read_by_pillow(tmp_path / 'turned.png') == wanted).all()


def test_masks_are_pasted_as_mmdet_pastes_them():
    head = pytest.importorskip('mmdet.models.roi_heads.mask_heads.fcn_mask_head')
    height, width, count = 97, 143, 300
    corners = 220 * torch.rand(count, 2) - 40
    boxes = torch.cat([corners, corners + 90 * torch.rand(count, 2) ** 2], 1)
    boxes = boxes.clamp(min=0).minimum(torch.tensor([width, height] * 2))  # as mmdet's heads do
    boxes[:3] = torch.tensor([[5.0, 6, 5, 30], [143, 97, 143, 97], [0, 0, 143, 97]])
    smooth = F.interpolate(torch.rand(count, 1, 4, 4), 28, mode='bilinear')[:, 0]
    masks = (smooth - 0.5).mul(8).sigmoid()
    found = deploy.paste(masks.numpy(), boxes.numpy(), height, width)
    values = torch.zeros(count, height, width)
    for whole, mask, box in zip(values, masks, boxes, strict=True):
        part, place = head._do_paste_mask(mask[None, None], box[None], height, width)
        whole[place] = part[0]
    differs = torch.from_numpy(found) != (values >= 0.5)
    assert (values[differs] - 0.5).abs().lt(1e-5).all()
    assert differs.sum() <= 10 < 1000 < found.sum()


def test_masks_of_boxes_are_masks_of_the_picture(tmp_path):
    masks = np.zeros((2, 28, 28), np.float32)
    masks[0, :, :14] = 1
    file = write(tmp_path / 'x.onnx', dict(FOUND, masks=masks), task='instance', masks='boxes')
    found = Detector(file)(noise(160, 240, 3))
    wanted = np.zeros((160, 240), bool)
    wanted[40:100, 20:70] = True  # the left half of the dog's box
    assert found['masks'].shape == (2, 160, 240)
    assert (found['masks'][0] != wanted).sum() == 4  # its corners, as in mmdet
    assert not found['masks'][1].any()
    assert Detector(file)(noise(160, 240, 3), 0.5)['masks'].shape == (1, 160, 240)


def test_masks_of_the_image_and_panoptic_maps_grow_with_it(tmp_path):
    masks = np.zeros((2, 80, 120), bool)
    masks[0, 20:40, 10:60] = True
    panoptic = np.where(masks[0], 1001, 2).astype(np.int32)
    segments = np.array([[1001, 1, 0.9], [2, 2, 1]], np.float32)
    outputs = dict(FOUND, masks=masks, panoptic=panoptic, segments=segments)
    file = write(tmp_path / 'x.onnx', outputs, task='panoptic', masks='image')
    found = Detector(file)(noise(160, 240, 3))
    wanted = masks[0].repeat(2, 0).repeat(2, 1)
    assert (found['masks'][0] == wanted).mean() > 0.999
    assert (found['panoptic'] == np.where(wanted, 1001, 2)).all()
    assert (found['segments'] == segments).all()


def test_scores_of_a_segmenter_are_resized_before_the_best_is_taken(tmp_path, monkeypatch):
    resize = dict(scale=[40, 30], keep_ratio=True)
    model = Segmenter(write_segmenter(tmp_path / 'x.onnx', with_scores=True, resize=resize))
    image = noise(90, 120, 3)
    small = torch.from_numpy(model.prepare(image).image).permute(2, 0, 1)[None].float()
    wanted = F.interpolate(small, (90, 120), mode='bilinear')[0].argmax(0).numpy()
    assert (model(image)['classes'] == wanted).mean() > 0.999  # ties
    monkeypatch.setattr(deploy, 'cv2', None)
    assert (model(image)['classes'] == wanted).mean() > 0.999


def test_a_file_for_one_size_takes_pictures_of_all(tmp_path):
    file = write_segmenter(tmp_path / 'x.onnx', size=[40, 60])
    model = Segmenter(file)
    image = np.full((100, 100, 3), 7, np.uint8)
    prepared = model.prepare(image)
    assert (prepared.image.shape, prepared.inner) == ((40, 60, 3), (40, 40))
    assert prepared.image[0, 50].tolist() == [124, 116, 104]  # which normalises to about zero
    found = model(image)
    assert found['classes'].shape == (100, 100)
    assert (found['classes'] == 7).all()
    file = write(tmp_path / 'y.onnx', FOUND, size=[40, 60])
    boxes = Detector(file)(image)['boxes']
    assert boxes[0].tolist() == [25, 50, 100, 100]  # no box ends beyond the picture


def test_a_file_of_another_channel_order_is_padded_with_its_mean(tmp_path):
    file = write_segmenter(tmp_path / 'x.onnx', size=[40, 60], channels='bgr')
    image = Segmenter(file).prepare(noise(100, 100, 3)).image
    assert image[0, 50].tolist() == [104, 116, 124]


def test_a_file_for_several_pictures_takes_one_and_many(tmp_path):
    nodes = [
        helper.make_node('Constant', [], ['red'], value_int=0),
        helper.make_node('Gather', ['image', 'red'], ['classes'], axis=3),
    ]
    outputs = dict(classes=('uint8', [3, 'height', 'width']))
    resize = dict(scale=None, keep_ratio=True)
    settings = dict(task='semantic', resize=resize)
    model = Segmenter(write(tmp_path / 'x.onnx', outputs, nodes, batch=3, **settings))
    images = [np.full((8, 9 + (i > 4), 3), i, np.uint8) for i in range(7)]
    assert model(images[2])['labels'].tolist() == [2]
    founds = model(images)
    assert [found['labels'].tolist() for found in founds] == [[i] for i in range(7)]
    assert [found['classes'].shape for found in founds] == [image.shape[:2] for image in images]


def test_folders_are_read_with_all_below_them(file, tmp_path):
    folder = tmp_path / 'pictures'
    (folder / 'inner').mkdir(parents=True)
    for name in ('b.png', 'inner/a.JPG'):
        shutil.copy(PICTURE, folder / name)
    (folder / 'notes.txt').write_text('none')
    (folder / 'damaged.png').write_bytes(b'none')
    model = Detector(file)
    with pytest.warns(UserWarning, match=r'passed over: .*damaged\.png is damaged'):
        founds = model(folder)
    assert [path.name for path in founds] == ['b.png', 'a.JPG']
    with pytest.warns(UserWarning, match='damaged'):
        assert len(list(model.each(str(folder), workers=5))) == 2
    with pytest.raises(ValueError, match='damaged'):
        model([folder / 'b.png', folder / 'damaged.png'])
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match='holds no pictures'):
        model(empty)


@pytest.mark.parametrize('picture', [PICTURE, str(PICTURE), cv2.imread(str(PICTURE))[..., ::-1]])
def test_paths_and_arrays_are_taken(picture, file):
    model = Detector(file)
    assert model(picture)['names'] == ['dog', 'bird']
    assert [found['names'] for _, found in model.each(picture)] == [['dog', 'bird']]


@pytest.mark.parametrize(
    ('picture', 'words'),
    [
        (noise(8, 8), r'array \(8, 8\) of uint8: repeat the grey 3 times'),
        (noise(8, 8, 1), 'repeat the grey 3 times'),
        (noise(8, 8, 4), 'leave alpha out'),
        (noise(8, 8, 3) / 255, 'array .* of float64: give numbers of 0 to 255'),
        (noise(8, 8, 3).astype(np.uint16), 'uint16'),
        (noise(0, 8, 3), r'\(0, 8, 3\)'),
        (noise(2, 8, 8, 3), r'\(2, 8, 8, 3\)'),
        (noise(3, 8, 8), r'RGB, and this is an array \(3, 8, 8\)'),
        (None, 'a picture is a path or an array .*, not NoneType'),
        ('no.jpg', 'No such file'),
    ],
)
def test_no_picture_is_one_sentence(picture, words, file):
    with pytest.raises((ValueError, TypeError, OSError), match=words):
        Detector(file)(picture)


@pytest.mark.parametrize('with_opencv', [True, False])
def test_a_damaged_picture_is_one_sentence(with_opencv, file, tmp_path, monkeypatch):
    if not with_opencv:
        monkeypatch.setattr(deploy, 'cv2', None)
    content = PICTURE.read_bytes()
    for part in (b'', b'none', content[: len(content) // 2]):
        (tmp_path / 'x.jpg').write_bytes(part)
        with pytest.raises(ValueError, match=r'x\.jpg is damaged or no picture'):
            Detector(file)(tmp_path / 'x.jpg')


def test_sixteen_bits_need_opencv(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / 'x.png'), np.full((4, 4), 300, np.uint16))
    assert (deploy.read_picture(tmp_path / 'x.png') == 1).all()
    with pytest.raises(ValueError, match='more than 8 bits need OpenCV'):
        deploy.read_by_pillow(tmp_path / 'x.png')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(text=''), 'does not say what its inputs and outputs mean; write the whole model'),
        (dict(text=OF_FORMAT_2), 'has format 2, and this version of mmbackbones reads up to 1'),
        (dict(text='{"format": '), 'cannot be read'),
        (dict(text='[]'), 'cannot be read'),
        (dict(task='semantic'), 'holds a model for semantic tasks; use Segmenter'),
    ],
)
def test_an_unfit_file_is_one_sentence(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        Detector(write(tmp_path / 'x.onnx', FOUND, **options))


def test_a_detector_s_file_is_none_of_a_segmenter(file):
    with pytest.raises(ValueError, match='holds a model for detection tasks; use Detector'):
        Segmenter(file)


def test_what_cannot_be_opened_is_one_sentence(file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there is no file none\.onnx; tools/export\.py'):
        Detector('none.onnx')
    (tmp_path / 'cut.onnx').write_bytes(Path(file).read_bytes()[:100])
    with pytest.raises(ValueError, match=r'onnxruntime cannot open .*cut\.onnx'):
        Detector(tmp_path / 'cut.onnx')
    (tmp_path / 'net.pt2').write_bytes(b'')
    with pytest.raises(ValueError, match=r'neither in \.onnx nor in \.xml'):
        Detector(tmp_path / 'net.pt2')
    (tmp_path / 'net.xml').write_bytes(b'')
    with pytest.raises(ValueError, match='cannot be run by onnxruntime; choose from openvino'):
        Detector(tmp_path / 'net.xml', engine='onnxruntime')
    with pytest.raises(ValueError, match='this onnxruntime has no device warp'):
        Detector(file, device='warp')


def test_a_missing_engine_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(ImportError, match='needs onnxruntime or openvino, which is not installed'):
        Detector(file)


def test_finds_are_drawn(tmp_path):
    masks = np.ones((2, 28, 28), np.float32)
    file = write(tmp_path / 'x.onnx', dict(FOUND, masks=masks), task='instance', masks='boxes')
    model, image = Detector(file), np.zeros((80, 120, 3), np.uint8)
    drawn = model.draw(image, model(image))
    assert drawn.shape == image.shape
    assert not image.any()
    assert drawn[20, 30].tolist() == list(model.colour(1))  # the border of the dog
    assert drawn[48, 40].tolist() == [round(part / 2) for part in model.colour(1)]  # its mask
    assert not drawn[60:].any()
    assert (model.colour(0), len(set(map(model.colour, range(80))))) == ((255, 0, 0), 80)
    model = Segmenter(write_segmenter(tmp_path / 'y.onnx'))
    assert model.draw(image, model(image))[0, 0].tolist() == [128, 0, 0]  # half of class 0


def test_the_command_says_and_draws_what_it_finds(file, tmp_path, capsys):
    out = tmp_path / 'new/out.png'
    deploy.main([str(file), str(PICTURE), '--out', str(out)])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith('dog 0.900  ')
    assert cv2.imread(str(out)).shape == cv2.imread(str(PICTURE)).shape
    folder = tmp_path / 'pictures'
    folder.mkdir()
    shutil.copy(PICTURE, folder / 'a.jpg')
    deploy.main([str(file), str(folder), '--out', str(tmp_path / 'drawn'), '--score-thr', '0'])
    title, *lines = capsys.readouterr().out.splitlines()
    assert (title, len(lines)) == (str(folder / 'a.jpg'), 2)
    assert (tmp_path / 'drawn/a.jpg').is_file()
    segmenter = write_segmenter(tmp_path / 'red.onnx', classes=list(map(str, range(256))))
    deploy.main([str(segmenter), str(PICTURE)])
    shares = [float(line.split()[1][:-1]) for line in capsys.readouterr().out.splitlines()]
    assert sum(shares) == pytest.approx(100, abs=10)


def test_errors_of_the_command_are_one_sentence(file, tmp_path, capsys):
    with pytest.raises(SystemExit, match=r'there is no file none\.onnx'):
        deploy.main(['none.onnx', str(PICTURE)])
    with pytest.raises(SystemExit, match='No such file'):
        deploy.main([str(file), 'none.jpg'])
    with pytest.raises(SystemExit):
        deploy.main([str(file), str(tmp_path), '--out', str(tmp_path)])
    assert 'would write over pictures' in capsys.readouterr().err


HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {hidden}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Hidden())
"""
USE = """
from {module} import Detector
found = Detector({file!r})({picture!r})
assert not {{'torch', 'mmengine', 'mmcv', 'cv2'}} & set(sys.modules)
print(found['names'], found['boxes'].shape)
"""


def run_hidden(hidden, code, cwd):
    """What code prints in a process that has none of some packages."""
    text = HIDE.format(hidden=tuple(hidden)) + code
    command = [sys.executable, '-c', text]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=True).stdout


@pytest.mark.parametrize('copied', [False, True])
def test_no_other_package_is_needed(copied, file, tmp_path):
    module, cwd = 'mmbackbones.deploy', ROOT
    if copied:
        shutil.copy(deploy.__file__, tmp_path / 'taken_along.py')
        module, cwd = 'taken_along', tmp_path
    code = USE.format(module=module, file=str(file), picture=str(PICTURE))
    said = run_hidden(['torch', 'mmengine', 'mmcv', 'cv2', 'openvino', 'rich'], code, cwd)
    assert said == "['dog', 'bird'] (2, 4)\n"


def test_what_needs_pytorch_says_so():
    code = """
import mmbackbones
assert mmbackbones.__version__
for name in ('DaViT', 'load_checkpoint', 'none'):
    try:
        getattr(mmbackbones, name)
    except (ImportError, AttributeError) as error:
        print(type(error).__name__, error)
"""
    said = run_hidden(['torch'], code, ROOT).splitlines()
    assert said == [
        f'ImportError mmbackbones.{name} needs PyTorch, which cannot be imported '
        "(No module named 'torch')"
        for name in ('DaViT', 'load_checkpoint')
    ] + [
        "AttributeError module 'mmbackbones' has no attribute 'none'",
    ]
