"""Faults of data are one sentence each, before anything is trained: COCO-style and mask-style."""

import json
import re
import shutil
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import check_data
import train
from test_train_options import CONFIGS

COCO = """
_base_ = '{configs}/mask_rcnn_swin_t.py'
metainfo = dict(classes=('cat', 'dog'))
data = dict(data_root='data/', metainfo=metainfo)
train_dataloader = dict(dataset=dict(data, ann_file='train.json', data_prefix=dict(img='images/')))
val_dataloader = dict(dataset=dict(data, ann_file='val.json', data_prefix=dict(img='images/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/val.json')
test_evaluator = val_evaluator
model = dict(roi_head=dict(bbox_head=dict(num_classes=2), mask_head=dict(num_classes=2)))
"""
MAPS = """
_base_ = '{configs}/upernet_swin_t.py'
data = dict(
    type='BaseSegDataset',
    data_root='data',
    metainfo=dict(classes=('land', 'water')),
    img_suffix='.png',
    reduce_zero_label=False,
    data_prefix=dict(img_path='images', seg_map_path='maps'),
)
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
model = dict(decode_head=dict(num_classes=2), auxiliary_head=dict(num_classes=2))
"""


def annotation(number, **changes):
    """A square of 10 pixels in image 1."""
    square = [[5, 5, 15, 5, 15, 15, 5, 15]]
    usual = dict(image_id=1, category_id=1, bbox=[5, 5, 10, 10], area=100, iscrowd=0)
    return dict(usual, id=number, segmentation=square) | changes


def write_coco(folder):
    """Two images with a cat and a dog, for training and for validation."""
    for name in 'ab':
        cv2.imwrite(str(folder / f'images/{name}.png'), np.zeros((40, 64, 3), np.uint8))
    images = [
        dict(id=i, file_name=f'{n}.png', width=64, height=40) for i, n in ((1, 'a'), (2, 'b'))
    ]
    categories = [dict(id=1, name='cat'), dict(id=7, name='dog')]
    annotations = [annotation(1), annotation(2, image_id=2, category_id=7)]
    content = dict(images=images, categories=categories, annotations=annotations)
    for split in ('train', 'val'):
        (folder / f'{split}.json').write_text(json.dumps(content))


def write_maps(folder):
    """Two images with a map of land and water each."""
    (folder / 'maps').mkdir()
    for name in 'ab':
        cv2.imwrite(str(folder / f'images/{name}.png'), np.zeros((40, 64, 3), np.uint8))
        labels = np.zeros((40, 64), np.uint8)
        labels[20:], labels[:, :5] = 1, 255
        cv2.imwrite(str(folder / f'maps/{name}.png'), labels)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with sound data of both kinds and their configs; tools run in it."""
    monkeypatch.chdir(tmp_path)
    for name, text, write in (('coco', COCO, write_coco), ('maps', MAPS, write_maps)):
        folder = tmp_path / name / 'data'
        (folder / 'images').mkdir(parents=True)
        write(folder)
        (tmp_path / name / 'config.py').write_text(text.format(configs=CONFIGS))
    return tmp_path


def look(monkeypatch, *arguments):
    """Run check_data.py; what it ends with."""
    monkeypatch.setattr(sys, 'argv', ['check_data.py', 'config.py', *arguments])
    try:
        check_data.main()
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize('kind', ['coco', 'maps'])
def test_sound_data_have_no_fault(kind, work, monkeypatch, capsys):
    monkeypatch.chdir(work / kind)
    assert look(monkeypatch) is None
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == 'no fault in train_dataloader, val_dataloader of config.py'


def edit(path, change):
    """Change the content of a JSON file."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content) or content))


def annotations(path, **changes):
    """Change every annotation."""
    edit(path, lambda c: [a.update(changes) for a in c['annotations']] and c)


def without(path, name):
    edit(path, lambda c: c.pop(name) and c)


def cut(path):
    path.write_text(path.read_text()[:100])


def options(path, text):
    """Lines at the end of the config of a folder of data."""
    config = path.parent / 'config.py' if path.name == 'data' else path
    config.write_text(config.read_text() + text)


def change_categories(content):
    content['categories'].append(dict(id=9, name='cow'))
    content['annotations'].append(annotation(3, category_id=9))


def shrink(content):
    for image in content['images']:
        image['width'] = 20


TRAIN, VAL = 'data/train.json', 'data/val.json'
QUICK = {
    'file missing': (lambda f: (f / 'train.json').unlink(), TRAIN, 'there is no annotation file'),
    'broken': (lambda f: cut(f / 'train.json'), TRAIN, r'is no JSON \(.*char 9\d'),
    'a list': (lambda f: (f / 'train.json').write_text('[1]'), TRAIN, 'has no images and no'),
    'no categories': (
        lambda f: without(f / 'train.json', 'categories'),
        TRAIN,
        'has no categories, but images, annotations; expected images, annotations, categories',
    ),
    'empty categories': (
        lambda f: edit(f / 'train.json', lambda c: c['categories'].clear()),
        TRAIN,
        'has no categories',
    ),
    'no images': (lambda f: edit(f / 'val.json', lambda c: c['images'].clear()), VAL, 'no images'),
    'a class that the file lacks': (
        lambda f: edit(f / 'train.json', lambda c: c['categories'].pop() and c),
        TRAIN,
        'has the categories cat, but not dog of the 2 classes of train_dataloader; set metainfo',
    ),
    'another number of classes': (
        lambda f: options(f, 'model["roi_head"]["mask_head"]["num_classes"] = 80\n'),
        'model.roi_head.mask_head.num_classes is 80',
        r'train_dataloader has 2 classes \(cat, dog\); set it to 2',
    ),
    'other classes in validation': (
        lambda f: options(f, "val_dataloader['dataset']['metainfo'] = dict(classes=('cat',))\n"),
        r'val_dataloader has 1 classes \(cat\)',
        r'train_dataloader has 2 \(cat, dog\); give both the same metainfo',
    ),
    'evaluator without file': (
        lambda f: options(f, "val_evaluator = dict(ann_file='data/none.json')\n"),
        'val_evaluator.ann_file: there is no data/none.json',
        'val_dataloader reads data/val.json',
    ),
    'evaluator of another split': (
        lambda f: options(f, "val_evaluator = dict(ann_file='data/train.json')\n"),
        'val_evaluator.ann_file is data/train.json',
        'val_dataloader reads data/val.json',
    ),
    'folder of images missing': (
        lambda f: shutil.rmtree(f / 'images'),
        'there is no folder of images data/images',
        'set data_prefix.img',
    ),
    'image entries': (
        lambda f: edit(f / 'train.json', lambda c: c['images'][0].pop('width') and c),
        TRAIN,
        r'1 images lack id, file_name, width or height \(a.png\)',
    ),
    'NaN': (
        lambda f: annotations(f / 'train.json', bbox=[5, 5, float('nan'), 5]),
        TRAIN,
        r'2 annotations are without a bbox of four numbers or without area \(annotation 1 of a.png',
    ),
    'no area': (
        lambda f: edit(f / 'train.json', lambda c: c['annotations'][0].pop('area') and c),
        TRAIN,
        '1 annotations are without a bbox of four numbers or without area',
    ),
    'unknown category': (
        lambda f: annotations(f / 'train.json', category_id=3),
        TRAIN,
        '2 annotations are of no category in the file',
    ),
    'unknown image': (
        lambda f: annotations(f / 'train.json', image_id=3),
        TRAIN,
        r'of no image in the file \(annotation 1 of image_id 3',
    ),
    'no masks': (
        lambda f: annotations(f / 'train.json', segmentation=[]),
        TRAIN,
        'without the segmentation that with_mask=True reads',
    ),
    'nothing left': (
        lambda f: edit(f / 'train.json', shrink),
        TRAIN,
        r'none of 2 images is left for train_dataloader by filter_cfg=.*min_size',
    ),
}
NOTES = {
    'dropped category': (
        lambda f: edit(f / 'train.json', change_categories),
        'data/train.json: the classes of train_dataloader leave out cow with 1 annotations',
    ),
    'outside': (
        lambda f: annotations(f / 'train.json', bbox=[70, 5, 10, 10]),
        r'2 annotations are outside of their image \(annotation 1 of a.png.*; mmdet leaves them',
    ),
    'empty': (
        lambda f: annotations(f / 'train.json', bbox=[5, 5, 0, 10]),
        '2 annotations are empty: smaller than a pixel',
    ),
}
IMAGES = {
    'missing': (lambda p: p.unlink(), 'there is no image data/images/a.png; bring it'),
    'empty': (lambda p: p.write_bytes(b''), 'a.png is empty, expected an image'),
    'unreadable': (lambda p: p.write_bytes(b'no image'), 'a.png is no image that OpenCV can read'),
    'another size': (
        lambda p: cv2.imwrite(str(p), np.zeros((64, 40), np.uint8)),
        'a.png is 40 x 64, but data/train.json says 64 x 40; write the real size',
    ),
}


def check(monkeypatch, capsys, *words, arguments=()):
    """One of the lines says all the words; the exit status tells of a fault."""
    code = look(monkeypatch, *arguments)
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if all(re.search(each, line) for each in words)]
    assert found, lines
    assert all(len(line) < 500 for line in lines)
    return code, found[0]


@pytest.mark.parametrize('what', QUICK)
def test_annotations(what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    make, *words = QUICK[what]
    make(work / 'coco/data')
    code, line = check(monkeypatch, capsys, *words, arguments=['--quick'])
    assert line.startswith('fault  ')
    assert 'faults in the data of config.py' in code


@pytest.mark.parametrize('what', NOTES)
def test_what_is_left_out_in_silence_is_a_note(what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    make, words = NOTES[what]
    make(work / 'coco/data')
    code, line = check(monkeypatch, capsys, words, arguments=['--quick'])
    assert line.startswith('note   ')
    assert code is None or 'none of 2 images' in code


@pytest.mark.parametrize('what', IMAGES)
@pytest.mark.parametrize('kind', ['coco', 'maps'])
def test_images(kind, what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / kind)
    make, words = IMAGES[what]
    if kind == 'maps' and what == 'missing':
        return  # what a folder lacks, nobody misses
    make(work / kind / 'data/images/a.png')
    if kind == 'maps' and what == 'another size':
        words = 'maps/a.png is 64 x 40, but its image data/images/a.png is 40 x 64; they must have'
    code, _ = check(monkeypatch, capsys, words)
    assert code
    assert look(monkeypatch, '--quick') is None


def paint(path, labels):
    cv2.imwrite(str(path), np.array(labels, np.uint8))


MAP_FAULTS = {
    'folder missing': (
        lambda f: shutil.rmtree(f / 'images'),
        'train_dataloader: there is no folder of images data/images; set data_prefix.img_path',
    ),
    'other suffix': (
        lambda f: [(f / f'images/{n}.png').rename(f / f'images/{n}.jpeg') for n in 'ab'],
        'data/images has no image that ends in .png, but 2 .jpeg; set img_suffix',
    ),
    'map missing': (
        lambda f: (f / 'maps/a.png').unlink(),
        r'1 of 2 images have no map \(data/maps/a.png\); expected one of the same name, ending in',
    ),
    'list missing': (
        lambda f: options(f, "train_dataloader['dataset']['ann_file'] = 'train.txt'\n"),
        'there is no list of images data/train.txt; set ann_file',
    ),
    'classes': (
        lambda f: options(f, "model['auxiliary_head']['num_classes'] = 150\n"),
        'model.auxiliary_head.num_classes is 150, but train_dataloader has 2 classes .land, water',
    ),
    'labels beyond': (
        lambda f: paint(f / 'maps/a.png', np.full((40, 64), 2)),
        r'data/maps/a.png has the numbers 2, but classes are 0 to 1, and 255 is ignored; renumber',
    ),
    'labels from one': (
        lambda f: [
            options(f, "train_dataloader['dataset']['reduce_zero_label'] = True\n"),
            paint(f / 'maps/a.png', np.full((40, 64), 3)),
        ],
        'has the numbers 3, but classes are 1 to 2',
    ),
    'colours': (
        lambda f: paint(f / 'maps/a.png', np.zeros((40, 64, 3))),
        'data/maps/a.png has 3 channels, expected one with a class number for each pixel',
    ),
    'unreadable': (
        lambda f: (f / 'maps/a.png').write_bytes(b'no map'),
        'data/maps/a.png is no map that can be read',
    ),
}


@pytest.mark.parametrize('what', MAP_FAULTS)
def test_maps(what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'maps')
    make, words = MAP_FAULTS[what]
    make(work / 'maps/data')
    code, line = check(monkeypatch, capsys, words)
    assert line.startswith('fault  ')
    assert 'faults in the data' in code


def test_a_training_looks_at_annotations_first(work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    edit(work / 'coco/data/train.json', change_categories)
    monkeypatch.setattr(sys, 'argv', ['train.py', 'config.py'])
    train.configure(*train.parse())
    assert 'note: data/train.json: the classes of train_dataloader leave out cow' in (
        capsys.readouterr().err
    )
    annotations(work / 'coco/data/train.json', category_id=3)
    with pytest.raises(SystemExit):
        train.configure(*train.parse())
    last = capsys.readouterr().err.splitlines()[-1]
    assert 'of no category in the file' in last
    assert last.endswith('(all faults: python tools/check_data.py CONFIG)')
    monkeypatch.setenv('RANK', '1')
    train.configure(*train.parse())  # another process of the same training says it
