"""Public sets of real pictures become what their configs read; here of a few drawn files."""

import hashlib
import sys

import convert_dataset
import cv2
import numpy as np
import pytest
from lib.config_checks import check_maps
from mmengine.config import Config
from pycocotools.coco import COCO
from small_configs import CONFIGS as FOLDER


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Run the tool in an empty folder; the last line that it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, 'argv', ['tool', *words])
        convert_dataset.main()
        return capsys.readouterr().out.splitlines()[-1]

    return run


def refused(convert, capsys, *words):
    """The sentence with which the tool ends."""
    with pytest.raises(SystemExit):
        convert(*words)
    return capsys.readouterr().err.splitlines()[-1]


def names(validation, count):
    """Names of images that go to one of the splits."""
    every = (f'image{number}' for number in range(1000))
    chosen = [
        name
        for name in every
        if (int(hashlib.md5(name.encode()).hexdigest(), 16) % 5 == 0) == validation
    ]
    return chosen[:count]


@pytest.fixture
def nuclei(tmp_path):
    """Three images with two nuclei each, one of a size that is left out; their names by split."""
    found = dict(train=names(False, 2), val=names(True, 1))
    for number, name in enumerate([*found['train'], *found['val']]):
        folder = tmp_path / 'source/stage1_train' / name
        for part in ('images', 'masks'):
            (folder / part).mkdir(parents=True)
        height, width = (256, 320) if number != 1 else (360, 360)
        image = np.full((height, width, 4), 40 * number, np.uint8)
        cv2.imwrite(str(folder / f'images/{name}.png'), image)
        for nucleus in range(3):  # the last is empty, as some are
            mask = np.zeros((height, width), np.uint8)
            mask[10 : 10 + 7 * (nucleus < 2), 20 * nucleus : 20 * nucleus + 5] = 255
            cv2.imwrite(str(folder / f'masks/{nucleus}.png'), mask)
    return found


def test_nuclei_become_coco(nuclei, convert, tmp_path):
    assert convert('nuclei', 'source') == 'written: data/nuclei'
    for split, count in (('train', 1), ('val', 1)):  # of the two for training one is too large
        coco = COCO(f'data/nuclei/annotations/instances_{split}2017.json')
        assert [image['file_name'] for image in coco.dataset['images']] == [
            f'{nuclei[split][0]}.jpg'
        ]
        image = cv2.imread(f'data/nuclei/{split}2017/{nuclei[split][0]}.jpg')
        assert image.shape == (256, 320, 3)
        assert len(coco.anns) == 2 * count
        for nucleus, found in enumerate(coco.anns.values()):
            assert found['bbox'] == [20 * nucleus, 10, 5, 7]
            assert found['area'] == coco.annToMask(found).sum() == 35
    assert not list(tmp_path.glob('data/nuclei.*'))


@pytest.fixture
def aerial(tmp_path):
    """A tile of two areas, one larger than a crop; the classes are in stripes."""
    for area, (height, width) in ((1, (600, 1100)), (4, (300, 512))):
        for part in ('images', 'masks'):
            (tmp_path / f'source/Tile {area}/{part}').mkdir(parents=True)
        painted = np.zeros((height, width, 3), np.uint8)
        for number, colour in enumerate(convert_dataset.COLOURS.values()):
            rgb = [colour >> 16, colour >> 8 & 255, colour & 255]
            painted[:, 20 * number : 20 * number + 20] = rgb[::-1]
        image = np.random.default_rng(0).integers(0, 255, painted.shape, np.uint8)
        cv2.imwrite(str(tmp_path / f'source/Tile {area}/images/image_part_001.jpg'), image)
        cv2.imwrite(str(tmp_path / f'source/Tile {area}/masks/image_part_001.png'), painted)


def test_aerial_tiles_become_crops_with_labels(aerial, convert, tmp_path):
    assert convert('aerial', 'source', '--out', 'fields') == 'written: fields'
    found = {path.stem for path in (tmp_path / 'fields/img_dir/train').iterdir()}
    assert found == {f'area1_image_part_001_0_{x}' for x in (0, 512)}  # 76 and 88 are no half
    assert found == {path.stem for path in (tmp_path / 'fields/ann_dir/train').iterdir()}
    (path,) = (tmp_path / 'fields/ann_dir/val').iterdir()
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    crop = cv2.imread(str(tmp_path / f'fields/img_dir/val/{path.stem}.jpg'))
    assert labels.shape == crop.shape[:2]
    wanted = np.r_[np.repeat(np.arange(5), 20), np.full(412, 255)]
    assert (labels == wanted).all()


@pytest.mark.parametrize(
    ('length', 'expected'),
    [(100, [0]), (512, [0]), (767, [0]), (768, [0, 256]), (1100, [0, 512]), (1536, [0, 512, 1024])],
)
def test_crops_cover_a_side(length, expected):
    assert convert_dataset.starts(length) == expected


def test_what_is_missing_is_one_sentence_and_leaves_nothing(nuclei, convert, tmp_path, capsys):
    assert 'there is no folder nothing; clone' in refused(convert, capsys, 'nuclei', 'nothing')
    assert 'holds no folders Tile 1 to Tile 8' in refused(convert, capsys, 'aerial', 'source')
    image = tmp_path / f'source/stage1_train/{nuclei["val"][0]}/images/{nuclei["val"][0]}.png'
    image.write_bytes(b'no image')
    assert f'{image.name} is missing or no image' in refused(convert, capsys, 'nuclei', 'source')
    mask = next(tmp_path.glob(f'source/stage1_train/{nuclei["train"][0]}/masks/*.png'))
    cv2.imwrite(str(mask), np.zeros((9, 9), np.uint8))
    assert f'{mask.name} is (9, 9), its image' in refused(convert, capsys, 'nuclei', 'source')
    assert not list((tmp_path / 'data').iterdir())
    (tmp_path / 'data/nuclei').mkdir()
    assert 'data/nuclei exists; remove it' in refused(convert, capsys, 'nuclei', 'source')


@pytest.fixture
def configured(monkeypatch):
    """A function that reads one of the two configs, with another backbone if it is named."""

    def function(name, backbone='swin_t'):
        monkeypatch.setenv('BACKBONE', backbone)
        return Config.fromfile(FOLDER / f'{name}.py')

    return function


SETS = {'mask_rcnn_swin_t_nuclei': 'nuclei', 'upernet_swin_t_aerial': 'aerial'}
OTHERS = ('swin_b', 'swin_v2_t', 'davit_t', 'maxvit_t', 'volo_d1', 'container_light')


@pytest.mark.parametrize('name', SETS)
def test_configs_name_the_classes_of_the_sets(name, configured):
    dataset = configured(name).train_dataloader.dataset
    colours = convert_dataset.COLOURS
    if SETS[name] == 'nuclei':
        assert dataset.metainfo.classes == ('nucleus',)
        return
    palette = [red << 16 | green << 8 | blue for red, green, blue in dataset.metainfo.palette]
    assert dict(zip(dataset.metainfo.classes, palette, strict=True)) == colours


@pytest.mark.parametrize('backbone', OTHERS)
@pytest.mark.parametrize('name', SETS)
def test_another_backbone_is_one_option(name, backbone, configured):
    cfg = configured(name, backbone)
    check_maps(cfg)
    assert cfg.work_dir == f'work_dirs/{name.replace("swin_t", backbone)}'
    recipe = Config.fromfile(FOLDER / f'{name.split("_swin")[0]}_{backbone}.py')
    assert cfg.model.backbone.type == recipe.model.backbone.type
    assert cfg.model.backbone.arch == recipe.model.backbone.arch
    assert cfg.model.backbone.init_cfg is None


@pytest.mark.parametrize('name', SETS)
def test_they_train_on_what_the_converter_writes(
    name, nuclei, aerial, convert, call_tool, tmp_path
):
    """With one block per stage, for one step or two."""
    convert(SETS[name], 'source')
    numbers = dict(dims=(16, 32, 64, 128), depths=(1, 1, 1, 1), heads=(1, 2, 4, 8))
    heads = dict(
        nuclei='neck=dict(in_channels=[16, 32, 64, 128])',
        aerial='decode_head=dict(in_channels=[16, 32, 64, 128]), '
        'auxiliary_head=dict(in_channels=64)',
    )
    length = dict(nuclei='max_epochs', aerial='max_iters')[SETS[name]]
    (tmp_path / 'small.py').write_text(
        f"_base_ = '{FOLDER / name}.py'\n"
        f'arch = dict(_delete_=True, **{numbers})\n'
        f'model = dict(backbone=dict(arch=arch), {heads[SETS[name]]})\n'
        f'train_cfg = dict({length}=1, val_interval=1)\n'
        'train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n'
        'val_dataloader = dict(num_workers=0, persistent_workers=False)\n'
        'test_dataloader = val_dataloader\n'
    )
    assert call_tool('check_data', 'small.py')[0] == 0
    assert call_tool('train', 'small.py', '--work-dir', 'run')[0] == 0
    (log,) = tmp_path.glob('run/*/*.log')
    assert dict(nuclei='coco/segm_mAP_50', aerial='mIoU')[SETS[name]] in log.read_text()
