"""The demo set: the same bytes every time, true annotations, never a foreign folder deleted."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import demo_set
import numpy as np
import pytest
from demo import dataset
from demo import scene as demo_scene
from pycocotools.coco import COCO

SMALL = {'train': 6, 'val': 2, 'size': 64, 'seed': 3}


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder by its relative path."""
    files = sorted(path for path in root.rglob('*') if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def times(root: Path) -> dict[Path, int]:
    """Return when each file below a folder was last written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in root.rglob('*')}


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    """Return the folder of a small demo set, for reading only."""
    folder = tmp_path_factory.mktemp('demo') / 'set'
    dataset.make_demo_set(folder, **SMALL)
    return folder


@pytest.fixture(scope='module', params=['train', 'val'])
def coco(root, request) -> COCO:
    """Return the COCO annotations of one split."""
    api = COCO(root / 'coco' / 'annotations' / f'instances_{request.param}2017.json')
    api.split = request.param
    return api


def ade_labels(root: Path, split: str, number: int) -> np.ndarray:
    """Return the ADE20K labels (size, size) of one image."""
    folder = root / 'ade' / 'annotations' / dataset.ADE_FOLDERS[split]
    path = folder / f'ADE_{split}_{number:08d}.png'
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_same_bytes_in_two_folders(root, tmp_path):
    dataset.make_demo_set(tmp_path / 'twin', **SMALL)
    assert contents(tmp_path / 'twin') == contents(root)


def test_image_does_not_depend_on_the_count(root, tmp_path):
    dataset.make_demo_set(tmp_path / 'short', **{**SMALL, 'train': 2, 'val': 1})
    short, whole = contents(tmp_path / 'short'), contents(root)
    pictures = [name for name in short if '/' in name and not name.endswith('.json')]
    assert len(pictures) == 2 * 3 + 3
    assert all(short[name] == whole[name] for name in pictures)


def test_splits_and_seeds_differ():
    first, *others = (
        demo_scene.make_scene(seed, split, 1, 32).image
        for seed, split in ((0, 'train'), (0, 'val'), (1, 'train'))
    )
    assert not any(np.array_equal(first, other) for other in others)


def test_layout(root):
    names = contents(root)
    assert 'coco/train2017/000000000006.jpg' in names
    assert 'coco/val2017/000000000002.jpg' in names
    assert 'ade/images/training/ADE_train_00000006.jpg' in names
    assert 'ade/images/validation/ADE_val_00000002.jpg' in names
    assert 'ade/annotations/validation/ADE_val_00000002.png' in names
    assert len(names) == 8 * 3 + 4
    assert cv2.imread(str(root / 'overview.jpg')).shape[1] > 1000


def test_second_call_does_nothing(tmp_path):
    settings = {**SMALL, 'train': 1, 'val': 1}
    dataset.make_demo_set(tmp_path / 'set', **settings)
    before = times(tmp_path)
    dataset.make_demo_set(str(tmp_path / 'set'), **settings)
    assert times(tmp_path) == before


def test_a_set_of_other_settings_is_kept(tmp_path):
    dataset.make_demo_set(tmp_path / 'set', train=3, val=1, size=32)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r'a demo set of 3 \+ 1 images of 32 pixels'):
        dataset.make_demo_set(tmp_path / 'set', train=1, val=1, size=40)
    assert contents(tmp_path) == before


def test_an_older_version_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, 'VERSION', 0)
    dataset.make_demo_set(tmp_path / 'set', train=3, val=1, size=32)
    monkeypatch.undo()
    dataset.make_demo_set(tmp_path / 'set', train=1, val=1, size=40)
    images = list((tmp_path / 'set' / 'coco' / 'train2017').iterdir())
    assert [cv2.imread(str(path)).shape for path in images] == [(40, 40, 3)]
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_incomplete_set_is_made_anew(tmp_path):
    settings = {'train': 1, 'val': 1, 'size': 32}
    dataset.make_demo_set(tmp_path, **settings)
    lost = tmp_path / 'coco' / 'annotations' / 'instances_val2017.json'
    lost.unlink()
    dataset.make_demo_set(tmp_path, **settings)
    assert lost.is_file()


def test_failure_leaves_the_old_set(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, 'VERSION', 0)
    dataset.make_demo_set(tmp_path / 'set', train=1, val=1, size=32)
    monkeypatch.setattr(dataset, 'VERSION', 1)
    before = contents(tmp_path)
    monkeypatch.setattr(dataset, 'overview', lambda scenes: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dataset.make_demo_set(tmp_path / 'set', train=2, val=1, size=32)
    assert contents(tmp_path) == before


@pytest.mark.parametrize('name', ['thesis.txt', dataset.MARKER])
@pytest.mark.parametrize('text', ['precious', '[1]', '{"made_by": "somebody"}'])
def test_foreign_folder_is_refused_and_untouched(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    before = times(tmp_path)
    with pytest.raises(FileExistsError, match='not a demo set'):
        dataset.make_demo_set(tmp_path, train=1, val=1, size=32)
    assert times(tmp_path) == before


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / 'set').write_text('precious')
    with pytest.raises(FileExistsError, match='not a demo set'):
        dataset.make_demo_set(tmp_path / 'set', train=1, val=1, size=32)
    assert (tmp_path / 'set').read_text() == 'precious'


@pytest.mark.parametrize(
    'wrong', [{'size': 31}, {'train': 0}, {'val': -1}, {'seed': -1}, {'train': 1.5}, {'size': '64'}]
)
def test_bad_arguments_raise(tmp_path, wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))} must be a whole number from'):
        dataset.make_demo_set(tmp_path / 'set', **wrong)
    assert not list(tmp_path.iterdir())


def test_annotations_are_consistent(coco):
    assert coco.anns
    for note in coco.anns.values():
        mask = coco.annToMask(note)
        x, y, width, height = note['bbox']
        assert 0 <= x < x + width <= SMALL['size']
        assert 0 <= y < y + height <= SMALL['size']
        assert note['area'] == mask.sum()
        assert cv2.boundingRect(mask) == (x, y, width, height)
        assert note['iscrowd'] == 0


def test_decoded_masks_are_the_drawn_ones(coco):
    for number in coco.imgs:
        drawn = demo_scene.make_scene(SMALL['seed'], coco.split, number, SMALL['size']).objects
        notes = coco.loadAnns(coco.getAnnIds(number))
        assert [note['category_id'] for note in notes] == [kind.coco_id for kind, _ in drawn]
        decoded = [coco.annToMask(note) for note in notes]
        assert all(np.array_equal(one, mask) for one, (_, mask) in zip(decoded, drawn, strict=True))


def test_labels_agree_with_the_masks(root, coco):
    for number in coco.imgs:
        labels = ade_labels(root, coco.split, number)
        assert labels.shape == (SMALL['size'], SMALL['size'])
        assert labels.dtype == np.uint8
        for kind in demo_scene.KINDS:
            notes = coco.loadAnns(coco.getAnnIds(number, catIds=kind.coco_id))
            whole = sum((coco.annToMask(note) for note in notes), np.zeros_like(labels))
            assert np.array_equal(labels == kind.ade_label, whole > 0)
            assert whole.max() <= 1


def test_a_hole_is_kept():
    mask = np.zeros((20, 24), bool)
    mask[2:15, 3:20] = True
    assert isinstance(dataset.segmentation(mask), list)
    mask[6:9, 8:12] = False
    rle = dataset.segmentation(mask)
    assert rle['size'] == [20, 24]
    assert np.array_equal(dataset.rle_tools.decode(rle), mask)


def test_scenes_are_varied():
    scenes = [demo_scene.make_scene(0, 'train', number, 48) for number in range(30)]
    counts = [len(scene.objects) for scene in scenes]
    assert {kind.name for scene in scenes for kind, _ in scene.objects} == {
        kind.name for kind in demo_scene.KINDS
    }
    assert (min(counts), max(counts)) == (2, demo_scene.MOST_OBJECTS)
    assert all(mask.any() for scene in scenes for _, mask in scene.objects)
    seen = {int(label) for scene in scenes for label in np.unique(scene.labels)}
    assert seen == set(demo_scene.LEGEND)


def test_command_line(tmp_path):
    command = [sys.executable, demo_set.__file__, str(tmp_path / 'set')]
    small = ['--train', '1', '--val', '1', '--size', '32', '--seed', '5']
    done = subprocess.run(command + small, capture_output=True, text=True, check=True)
    assert 'holds 1 training and 1 validation images' in done.stdout
    settings = json.loads((tmp_path / 'set' / dataset.MARKER).read_text())
    assert (settings['train'], settings['size'], settings['seed']) == (1, 32, 5)


@pytest.mark.parametrize('wrong', [['--size', '8'], ['--train', '0'], ['--seed', 'x']])
def test_command_line_refuses_in_one_sentence(tmp_path, capsys, wrong):
    with pytest.raises(SystemExit) as stop:
        demo_set.main([str(tmp_path / 'set'), *wrong])
    assert stop.value.code == 2
    assert ': error: ' in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        demo_set.main(['--help'])
    assert stop.value.code == 0
    assert '$ python tools/demo_set.py data/demo' in capsys.readouterr().out


def test_mmdet_reads_it(root):
    datasets = pytest.importorskip('mmdet.datasets')
    pytest.importorskip('mmdet.datasets.transforms')
    official = dataset.categories()
    assert tuple(entry['name'] for entry in official) == datasets.CocoDataset.METAINFO['classes']
    coco = datasets.CocoDataset(
        data_root=str(root / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix={'img': 'train2017/'},
        pipeline=[
            {'type': 'LoadImageFromFile'},
            {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        ],
    )
    assert len(coco) == SMALL['train']
    for number, sample in enumerate(coco, 1):
        drawn = demo_scene.make_scene(SMALL['seed'], 'train', number, SMALL['size']).objects
        names = [coco.metainfo['classes'][label] for label in sample['gt_bboxes_labels']]
        assert names == [kind.name for kind, _ in drawn]
        assert np.array_equal(sample['gt_masks'].masks, np.stack([mask for _, mask in drawn]))
        assert sample['img'].shape == (SMALL['size'], SMALL['size'], 3)


def test_mmseg_reads_it(root):
    datasets = pytest.importorskip('mmseg.datasets')
    dataset = datasets.ADE20KDataset(
        data_root=str(root / 'ade'),
        data_prefix={'img_path': 'images/training', 'seg_map_path': 'annotations/training'},
        pipeline=[
            {'type': 'LoadImageFromFile'},
            {'type': 'mmseg.LoadAnnotations', 'reduce_zero_label': True},
        ],
    )
    classes = dataset.metainfo['classes']
    legend = demo_scene.LEGEND.values()
    assert all(classes[entry.ade_label - 1] == entry.ade_name for entry in legend)
    assert len(dataset) == SMALL['train']
    for number, sample in enumerate(dataset, 1):
        labels = ade_labels(root, 'train', number)
        assert np.array_equal(sample['gt_seg_map'], labels - 1)
        assert sample['img'].shape == (*labels.shape, 3)
