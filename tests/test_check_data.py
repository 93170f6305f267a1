"""Faults of data are one sentence each, before anything is trained: COCO-style and mask-style."""

import json
import re
import shutil
import sys
import zlib

import cv2
import numpy as np
import pytest

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import check_data
import pycocotools.mask as mask_api
import train
from lib.usage import run_tool
from mmdet.datasets import CocoDataset
from mmseg.registry import TRANSFORMS as MMSEG_TRANSFORMS
from PIL import Image
from small_configs import CONFIGS

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


def huge(png):
    """The same PNG, which says of itself that it has 100000 x 100000 pixels."""
    head = b'IHDR' + (100000).to_bytes(4, 'big') * 2 + png[24:29]
    return png[:12] + head + zlib.crc32(head).to_bytes(4, 'big') + png[33:]


def shrink(content):
    for image in content['images']:
        image['width'] = 20


TRAIN, VAL = 'data/train.json', 'data/val.json'
QUICK = {
    'file missing': (
        lambda f: (f / 'train.json').unlink(),
        TRAIN,
        'there is no data/train.json; set ann_file and data_root',
    ),
    'broken': (
        lambda f: cut(f / 'train.json'),
        TRAIN,
        'JSONDecodeError: .*char 9',
    ),
    'a list': (
        lambda f: (f / 'train.json').write_text('[1]'),
        TRAIN,
        'AssertionError',
    ),
    'another format': (
        lambda f: (f / 'train.json').write_text('{"shapes": [], "imagePath": "a.png"}'),
        TRAIN,
        "CocoDataset cannot read it .KeyError: 'categories'",
    ),
    'no categories': (
        lambda f: without(f / 'train.json', 'categories'),
        TRAIN,
        'has the categories none, but not cat, dog of the 2 classes of train_dataloader',
    ),
    'empty categories': (
        lambda f: edit(f / 'train.json', lambda c: c['categories'].clear()),
        TRAIN,
        'has the categories none, but not cat, dog of the 2 classes of train_dataloader',
    ),
    'no images': (
        lambda f: edit(f / 'val.json', lambda c: c['images'].clear()),
        VAL,
        'none of 0 images',
    ),
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
        'val_evaluator.ann_file is data/none.json, but',
        'val_dataloader reads data/val.json',
    ),
    'evaluator of another split': (
        lambda f: options(f, "val_evaluator = dict(ann_file='data/train.json')\n"),
        'val_evaluator.ann_file is data/train.json',
        'val_dataloader reads data/val.json',
    ),
    'folder of images missing': (
        lambda f: shutil.rmtree(f / 'images'),
        'there is no data/images',
        'set data_prefix.img',
    ),
    'image entries': (
        lambda f: edit(f / 'train.json', lambda c: c['images'][0].pop('width') and c),
        TRAIN,
        r"1 annotations are unreadable: KeyError: 'width' \(annotation 1 of a.png",
    ),
    'NaN': (
        lambda f: annotations(f / 'train.json', bbox=[5, 5, float('nan'), 5]),
        TRAIN,
        r'2 annotations are without finite numbers in bbox and area \(annotation 1 of a.png',
    ),
    'no area': (
        lambda f: edit(f / 'train.json', lambda c: c['annotations'][0].pop('area') and c),
        TRAIN,
        "1 annotations are unreadable: KeyError: 'area'",
    ),
    'unknown category': (
        lambda f: annotations(f / 'train.json', category_id=3),
        TRAIN,
        'none of 2 images is left for train_dataloader',
    ),
    'unknown image': (
        lambda f: annotations(f / 'train.json', image_id=3),
        TRAIN,
        'none of 2 images is left for train_dataloader',
    ),
    'no masks': (
        lambda f: annotations(f / 'train.json', segmentation=[]),
        TRAIN,
        'without the segmentation that with_mask=True reads',
    ),
    'order': (
        lambda f: edit(f / 'train.json', lambda c: c['categories'].reverse()),
        TRAIN,
        'order of the file, which from label 0 on is dog, cat, but the classes of train_dataloader',
        'are cat, dog: names would be mixed up; write metainfo.classes in the order of the file',
    ),
    'order of the other file': (
        lambda f: edit(f / 'val.json', lambda c: c['categories'].reverse()),
        VAL,
        'is dog, cat, but the classes of val_dataloader are cat, dog',
    ),
    'classes as a text': (
        lambda f: options(f, "train_dataloader['dataset']['metainfo'] = dict(classes=('cat'))\n"),
        r"the classes of train_dataloader are the text 'cat'; write \('cat',\)",
    ),
    'class weights': (
        lambda f: options(
            f,
            "model['roi_head']['bbox_head']['loss_cls'] = dict("
            "type='CrossEntropyLoss', class_weight=[1.0] * 81)\n",
        ),
        'model.roi_head.bbox_head.loss_cls.class_weight has 81 numbers, but its head has 2 classes',
    ),
    'BOM': (
        lambda f: (f / 'train.json').write_text('\ufeff' + (f / 'train.json').read_text()),
        TRAIN,
        'CocoDataset cannot read it .JSONDecodeError: Unexpected UTF-8 BOM',
    ),
    'deep': (
        lambda f: (f / 'train.json').write_text('[' * 100000),
        TRAIN,
        'CocoDataset cannot read it .RecursionError',
    ),
    'not UTF-8': (
        lambda f: (f / 'train.json').write_bytes(b'\xff\xfe{}'),
        TRAIN,
        'read it .Unicode',
    ),
    'entries of another kind': (
        lambda f: edit(f / 'train.json', lambda c: c['images'].append(3)),
        TRAIN,
        'CocoDataset cannot read it .TypeError: ',
    ),
    'unhashable ids': (
        lambda f: annotations(f / 'train.json', id=[1]),
        TRAIN,
        'CocoDataset cannot read it .TypeError: .*unhashable',
    ),
    'two images of one id': (
        lambda f: edit(f / 'train.json', lambda c: [i.update(id=1) for i in c['images']] and c),
        TRAIN,
        r'several images have the same id \(1\); give each its own',
    ),
    'two annotations of one id': (
        lambda f: annotations(f / 'train.json', id=5),
        TRAIN,
        r'several annotations have the same id \(5\)',
    ),
    'two categories of one name': (
        lambda f: edit(f / 'train.json', lambda c: c['categories'].append(dict(id=9, name='cat'))),
        TRAIN,
        r'several categories have the same name \(cat\)',
    ),
    'no annotation ids': (
        lambda f: edit(f / 'train.json', lambda c: c['annotations'][0].pop('id') and c),
        TRAIN,
        'id is asked for, which 1 of 2 annotations lack',
    ),
    'no image ids': (
        lambda f: edit(f / 'train.json', lambda c: c['annotations'][0].pop('image_id') and c),
        TRAIN,
        'image_id is asked for, which .*, 1 of 2 annotations',
    ),
    'annotation id 0': (
        lambda f: edit(f / 'val.json', lambda c: c['annotations'][0].update(id=0)),
        VAL,
        r'the annotation of id 0 \(image_id 1\) counts as none when COCO is scored; number|from 1',
    ),
    'no iscrowd': (
        lambda f: edit(f / 'val.json', lambda c: c['annotations'][0].pop('iscrowd') is None or c),
        VAL,
        r'1 annotations lack iscrowd \(id 1\)',
    ),
    'text for a number': (
        lambda f: annotations(f / 'train.json', bbox=['5', 5, 10, 10]),
        TRAIN,
        '2 annotations are .*(unreadable: TypeError|finite numbers)',
    ),
    'text for an area': (
        lambda f: annotations(f / 'train.json', area='100'),
        TRAIN,
        '2 annotations are unreadable: TypeError',
    ),
    'a number of 400 digits': (
        lambda f: annotations(f / 'train.json', bbox=[5, 5, 10**400, 10.5]),
        TRAIN,
        '2 annotations are .*(unreadable: TypeError|finite numbers)',
    ),
    'text for a width': (
        lambda f: edit(f / 'train.json', lambda c: c['images'][0].update(width='64')),
        TRAIN,
        r'1 annotations are unreadable: TypeError: .* \(annotation 1 of a.png',
    ),
}
SQUARE = [5, 5, 15, 5, 15, 15, 5, 15]
MASKS = {
    'flat polygon': (SQUARE, 'a polygon that is no list of x, y'),
    '4 numbers': ([SQUARE[:4]], 'a polygon that is no list of x, y'),
    '7 numbers': ([SQUARE[:7]], 'a polygon that is no list of x, y'),
    'text in a polygon': ([[*SQUARE[:7], '15']], 'a polygon that is no list of x, y'),
    'NaN in a polygon': ([[*SQUARE[:7], float('nan')]], 'a polygon that is no list of x, y'),
    'huge counts': (dict(size=[40, 64], counts=[10**12]), 'an RLE whose counts do not fill'),
    'negative counts': (dict(size=[40, 64], counts=[-5, 2565]), 'an RLE whose counts do not'),
    'compressed counts': (dict(size=[40, 64], counts='ooooooooo0'), 'an RLE whose counts do not'),
    'cut counts': (dict(size=[40, 64], counts='P`'), 'an RLE whose counts do not fill'),
    'size of -1': (dict(size=[-1, -1], counts='PP2'), 'no RLE of the size of the image'),
    'another size': (dict(size=[64, 40], counts=[2560]), 'no RLE of the size of the image'),
    'no counts': (dict(size=[40, 64]), 'no RLE of the size of the image'),
}


@pytest.mark.parametrize('what', MASKS)
def test_masks_are_looked_at_and_never_decoded(what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    mask, words = MASKS[what]
    edit(work / 'coco/data/train.json', lambda c: c['annotations'][1].update(segmentation=mask))
    code, line = check(monkeypatch, capsys, f'1 annotations are with .*{words}')
    assert line.startswith('fault: data/train.json')
    assert 'annotation 2 of b.png' in line
    assert '1 faults' in code


QUICK |= {
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
        r'2 annotations are outside of .* \(annotation 1 of a.png.*; mmdet leaves them',
    ),
    'unknown category': (
        lambda f: annotations(f / 'train.json', category_id=3),
        '2 annotations are of no category in the file',
    ),
    'unknown image': (
        lambda f: annotations(f / 'train.json', image_id=3),
        r'2 annotations are of no image in the file \(annotation 1 of image_id 3',
    ),
    'empty': (
        lambda f: annotations(f / 'train.json', bbox=[5, 5, 0, 10]),
        '2 annotations are outside of their image or smaller than a pixel',
    ),
}
IMAGES = {
    'header of 10 billion pixels': (
        lambda p: p.write_bytes(huge(p.read_bytes())),
        'a.png: LoadImageFromFile cannot read it',
    ),
    'missing': (lambda p: p.unlink(), 'a.png: LoadImageFromFile cannot read it .*No such file'),
    'empty': (lambda p: p.write_bytes(b''), 'a.png: LoadImageFromFile cannot read it'),
    'unreadable': (lambda p: p.write_bytes(b'no image'), 'a.png: LoadImageFromFile cannot read it'),
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
    assert line.startswith('fault: ')
    assert 'faults in the data of config.py' in code


@pytest.mark.parametrize('what', NOTES)
def test_what_is_left_out_in_silence_is_a_note(what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    make, words = NOTES[what]
    make(work / 'coco/data')
    code, line = check(monkeypatch, capsys, words, arguments=['--quick'])
    assert line.startswith('note: ')
    assert (code is None) == ('unknown' not in what)


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
        'train_dataloader: there is no data/images; set data_prefix.img_path',
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
        'there is no data/train.txt; set ann_file',
    ),
    'classes': (
        lambda f: options(f, "model['auxiliary_head']['num_classes'] = 150\n"),
        'model.auxiliary_head.num_classes is 150, but train_dataloader has 2 classes .land, water',
    ),
    'labels beyond': (
        lambda f: paint(f / 'maps/a.png', np.full((40, 64), 2)),
        r'data/maps/a.png has the numbers 2, but classes are 0 to 1, and 255 is ignored; renumber',
    ),
    'labels of 16 bits': (
        lambda f: cv2.imwrite(str(f / 'maps/a.png'), np.full((40, 64), 257, np.uint16)),
        'data/maps/a.png has numbers up to 257, of which mm keeps 8 bits; renumber them',
    ),
    'labels from one': (
        lambda f: [
            options(f, "train_dataloader['dataset']['reduce_zero_label'] = True\n"),
            paint(f / 'maps/a.png', np.full((40, 64), 3)),
        ],
        'has the numbers 3, but classes are 1 to 2',
    ),
    '0 and 255': (
        lambda f: [paint(f / f'maps/{n}.png', np.eye(40, 64) * 255) for n in 'ab'],
        'train_dataloader: all maps have 0 and 255 alone, and 255 is ignored, so that no pixel is '
        'of water; write the numbers of the',
    ),
    'classes as a text': (
        lambda f: options(f, "train_dataloader['dataset']['metainfo'] = dict(classes=('land'))\n"),
        r"the classes of train_dataloader are the text 'land'; write \('land',\)",
    ),
    'fewer classes in an auxiliary head': (
        lambda f: options(f, "model['auxiliary_head']['num_classes'] = 1\n"),
        'model.auxiliary_head.num_classes is 1, but train_dataloader has 2 classes',
    ),
    'colours': (
        lambda f: paint(f / 'maps/a.png', np.zeros((40, 64, 3))),
        'data/maps/a.png has 3 channels, expected one with a class number for each pixel',
    ),
    'unreadable': (
        lambda f: (f / 'maps/a.png').write_bytes(b'no map'),
        'data/maps/a.png: LoadAnnotations cannot read it',
    ),
}


@pytest.mark.parametrize('what', MAP_FAULTS)
def test_maps(what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'maps')
    make, words = MAP_FAULTS[what]
    make(work / 'maps/data')
    code, line = check(monkeypatch, capsys, words)
    assert line.startswith('fault: ')
    assert 'faults in the data' in code


def test_a_training_looks_at_annotations_first(work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    edit(work / 'coco/data/train.json', change_categories)
    monkeypatch.setattr(sys, 'argv', ['train.py', 'config.py'])
    run_tool(train.command_line, train.configure)
    assert 'note: data/train.json: the classes of train_dataloader leave out cow' in (
        capsys.readouterr().err
    )
    annotations(work / 'coco/data/train.json', category_id=3)
    with pytest.raises(SystemExit):
        run_tool(train.command_line, train.configure)
    last = capsys.readouterr().err.splitlines()[-1]
    assert 'none of 2 images is left for train_dataloader' in last
    assert last.endswith('(all faults: python tools/check_data.py CONFIG)')
    monkeypatch.setenv('RANK', '1')
    with pytest.raises(SystemExit):  # which the first process explains
        run_tool(train.command_line, train.configure)
    assert not capsys.readouterr().err


def rle(mask):
    """A mask in COCO's text."""
    code = mask_api.encode(np.asfortranarray(mask))
    return dict(code, counts=code['counts'].decode())


def noise():
    return (np.random.default_rng(0).random((40, 64)) < 0.3).astype(np.uint8)


RIGHT = {
    'no validation': (
        'coco',
        'val_dataloader = val_evaluator = val_cfg = None\n'
        'test_dataloader = test_evaluator = test_cfg = None\n',
        None,
    ),
    'a list of evaluators': (
        'coco',
        "val_evaluator = test_evaluator = [dict(type='CocoMetric', ann_file='./data/val.json'), "
        "dict(type='DumpResults', out_file_path='x.pkl', _scope_='mmengine')]\n",
        None,
    ),
    'repeated': (
        'coco',
        "train_dataloader['dataset'] = dict(_delete_=True, type='RepeatDataset', times=2, "
        "dataset=dict(type='CocoDataset', ann_file='train.json', data_root='data', "
        "data_prefix=dict(img='images/'), metainfo=metainfo, pipeline="
        "[dict(type='LoadImageFromFile')]))\n",
        None,
    ),
    'mixed': (
        'coco',
        "train_dataloader['dataset'] = dict(_delete_=True, type='MultiImageMixDataset', "
        "pipeline=[dict(type='Mosaic', img_scale=(64, 64))], dataset=dict("
        "type='ClassBalancedDataset', oversample_thr=0.1, dataset=dict(type='CocoDataset', "
        "ann_file='data/train.json', data_prefix=dict(img='data/images/'), metainfo=metainfo, "
        "pipeline=[dict(type='LoadImageFromFile')])))\n",
        None,
    ),
    'arrays of numpy': (
        'maps',
        "for each in (train_dataloader, val_dataloader):\n    each['dataset'].update("
        "img_suffix='.npy', pipeline=[dict(type='LoadImageFromNpyFile'"
        "), dict(type='LoadAnnotations')])\ndel each\n",
        lambda f: [np.save(f / f'images/{n}.npy', np.zeros((40, 64, 6))) for n in 'ab'],
    ),
    'two in one, by class': (
        'coco',
        'from mmdet.datasets import CocoDataset, ConcatDataset\n'
        "one = dict(type=CocoDataset, ann_file='train.json', data_root='data', metainfo=metainfo, "
        "data_prefix=dict(img='images/'), pipeline=[dict(type='LoadImageFromFile')])\n"
        "train_dataloader['dataset'] = dict(_delete_=True, type=ConcatDataset, datasets=[one])\n",
        None,
    ),
    'images alone, to be written': (
        'coco',
        "val_evaluator = test_evaluator = dict(format_only=True, outfile_prefix='x', "
        "ann_file='data/val.json')\n",
        lambda f: without(f / 'val.json', 'annotations'),
    ),
    'a mask in text': (
        'coco',
        '',
        lambda f: annotations(f / 'train.json', segmentation=rle(noise())),
    ),
    'another name of the file': (
        'coco',
        "val_evaluator = test_evaluator = dict(ann_file='data/linked.json')\n",
        lambda f: (f / 'linked.json').symlink_to(f / 'val.json'),
    ),
    'annotations of an image that was taken out': (
        'coco',
        '',
        lambda f: edit(
            f / 'train.json', lambda c: c['annotations'].append(annotation(9, image_id=9))
        ),
    ),
    'one class of the file': (
        'coco',
        'for each in (train_dataloader, val_dataloader):\n'
        "    each['dataset']['metainfo'] = dict(classes=('dog',))\n"
        "for each in model['roi_head'].values():\n    each['num_classes'] = 1\n"
        'del each\n',
        None,
    ),
    'no maps to test': (
        'maps',
        'test_dataloader = dict(dataset=dict(data, test_mode=True, data_prefix=dict('
        "_delete_=True, img_path='images'), pipeline=[dict(type='LoadImageFromFile')]))\n",
        lambda f: None,
    ),
    'files of macOS': ('maps', '', lambda f: (f / 'images/._a.png').write_bytes(b'no image')),
    'a linked folder': (
        'maps',
        '',
        lambda f: [
            (f / f'more_{kind}').mkdir()
            or (
                shutil.copy(f / kind / 'a.png', f / f'more_{kind}/c.png')
                and (f / kind / 'more').symlink_to(f / f'more_{kind}')
            )
            for kind in ('images', 'maps')
        ],
    ),
}


@pytest.mark.parametrize('what', RIGHT)
def test_what_mm_reads_has_no_fault(what, work, monkeypatch, capsys):
    kind, text, change = RIGHT[what]
    if 'Npy' in text and MMSEG_TRANSFORMS.get('LoadImageFromNpyFile') is None:
        pytest.skip('the original mmseg has no such loader')
    monkeypatch.chdir(work / kind)
    options(work / kind / 'config.py', text)
    if change:
        change(work / kind / 'data')
    assert look(monkeypatch) is None
    assert capsys.readouterr().out.splitlines()[-1].startswith('no fault in train_dataloader')


def test_a_dataset_that_reads_annotations_its_own_way_has_no_fault(work, monkeypatch, capsys):
    """Its file is there while mm reads it, and not afterwards."""
    monkeypatch.chdir(work / 'coco')
    usual = CocoDataset.parse_data_info

    def own(self, raw):
        return self.coco and usual(self, raw)

    monkeypatch.setattr(CocoDataset, 'parse_data_info', own)
    assert look(monkeypatch, '--quick') is None
    assert 'no fault in train_dataloader' in capsys.readouterr().out


@pytest.mark.parametrize('turned', [False, True])
def test_images_are_turned_as_mm_turns_them(turned, work, monkeypatch, capsys):
    """Annotations are for the upright image, as the loader gives it."""
    monkeypatch.chdir(work / 'coco')
    image = Image.new('RGB', (40, 64) if turned else (64, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    image.save(work / 'coco/data/images/a.jpg', exif=exif)
    for split in ('train', 'val'):
        path = work / f'coco/data/{split}.json'
        edit(path, lambda content: content['images'][0].update(file_name='a.jpg'))
    if turned:
        assert look(monkeypatch) is None
    else:
        check(monkeypatch, capsys, 'a.jpg is 40 x 64, but data/train.json says 64 x 40')


def test_images_are_read_by_the_step_of_the_config(work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    step = "dict(type='LoadImageFromFile', imdecode_backend='tifffile')"
    options(work / 'coco/config.py', f"train_dataloader['dataset']['pipeline'] = [{step}]\n")
    check(monkeypatch, capsys, 'a.png: LoadImageFromFile cannot read it|not looked at: .*tifffile')


def test_a_short_polygon_beside_a_sound_one_is_noted(work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    annotations(work / 'coco/data/train.json', segmentation=[SQUARE, SQUARE[:4]])
    code, line = check(monkeypatch, capsys, '2 annotations are with a polygon of less than 3 poi')
    assert (code, line[:4]) == (None, 'note')


def test_mixed_suffixes_are_noted(work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'maps')
    shutil.copy('data/images/a.png', 'data/images/c.jpg')
    words = 'train_dataloader: data/images has 1 .jpg, which img_suffix=.png leaves out'
    code, line = check(monkeypatch, capsys, words)
    assert (code, line[:4]) == (None, 'note')


VOC = """
train_dataloader = dict(dataset=dict(_delete_=True, type='VOCDataset', data_root='data', {}
    ann_file='train.txt', metainfo=metainfo, pipeline=[dict(type='LoadImageFromFile')],
    data_prefix=dict(sub_data_root='VOC2007/')))
"""
XML = """<annotation><size><width>64</width><height>40</height></size><object><name>dog</name>
<bndbox><xmin>{}</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object></annotation>
"""


def write_voc(folder, number):
    (folder / 'VOC2007/Annotations').mkdir(parents=True)
    (folder / 'VOC2007/JPEGImages').mkdir()
    (folder / 'train.txt').write_text('a')
    (folder / 'VOC2007/Annotations/a.xml').write_text(XML.format(number))
    cv2.imwrite(str(folder / 'VOC2007/JPEGImages/a.jpg'), np.zeros((40, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ('number', 'words'),
    [
        ('5', 'no fault in train_dataloader, val_dataloader'),
        ('30', 'train.txt: 1 annotations are without a box of finite numbers .number 0 of .*a.jpg'),
        ('text', 'train.txt: VOCDataset cannot read it .ValueError: could not convert'),
    ],
)
def test_voc_is_read(number, words, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    write_voc(work / 'coco/data', number)
    options(work / 'coco/config.py', VOC.format(''))
    code, _ = check(monkeypatch, capsys, words)
    assert (code is None) == (number == '5')


UNSEEN = {
    'a package': ("type='LVISV1Dataset',", 'LVISV1Dataset of train_dataloader .*lvis'),
    'a client': (
        "type='CocoDataset', backend_args=dict(backend='petrel'),",
        'CocoDataset of train_dataloader .Please install petrel_client',
    ),
    'a class': ("type='FakeData', _scope_='nowhere',", 'FakeData of train_dataloader'),
}


@pytest.mark.parametrize('what', UNSEEN)
def test_what_cannot_be_looked_at_is_said(what, work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    settings, words = UNSEEN[what]
    text = VOC.format(settings).replace("type='VOCDataset',", '', 1)
    options(work / 'coco/config.py', text.replace('train.txt', 'train.json'))
    code, _ = check(monkeypatch, capsys, f'^not looked at: {words}')
    assert code is None
    look(monkeypatch)
    assert 'no fault' not in capsys.readouterr().out


@pytest.mark.parametrize('wrapped', [False, True])
def test_missing_data_are_one_sentence(wrapped, work, call_tool, monkeypatch):
    monkeypatch.chdir(work / 'coco')
    one = "dict(type='CocoDataset', ann_file='none.json', metainfo=metainfo)"
    if wrapped:
        one = f"dict(type='RepeatDataset', times=2, dataset={one})"
    options(work / 'coco/config.py', f"train_dataloader['dataset'] = dict({one}, _delete_=True)\n")
    code, _, error = call_tool('train', 'config.py')
    assert code == 2
    assert 'train_dataloader: there is no none.json; set ann_file' in error
    assert not [word for word in ('ADE20K', 'cocodataset', 'Traceback') if word in error]


def test_images_that_are_elsewhere_are_found_before_a_training(work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    for name in 'ab':
        (work / f'coco/data/images/{name}.png').unlink()
    words = 'train_dataloader: there is no image data/images/a.png; set data_prefix'
    assert check(monkeypatch, capsys, words, arguments=['--quick'])[0]


def test_messages_command_no_terminal(work, monkeypatch, capsys):
    monkeypatch.chdir(work / 'coco')
    edit(work / 'coco/data/train.json', lambda c: c['categories'][0].update(name='\x1b[2Jcat'))
    assert look(monkeypatch, '--quick')
    assert '\x1b' not in capsys.readouterr().out
