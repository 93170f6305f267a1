"""Draw the demo set: small made-up scenes, laid out like COCO 2017 and like ADE20K.

Nothing is downloaded. The same scenes are written twice, as ``<root>/coco`` for detection and
instance segmentation and as ``<root>/ade`` for semantic segmentation, so that the unmodified
``CocoDataset`` and ``ADE20KDataset`` read them.
"""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle_tools
from tqdm import tqdm

from demo.scene import LEGEND, Kind, Scene, make_scene

# To be raised with every change to the pictures, so that older sets are made anew.
VERSION = 1
MAKER = 'mmbackbones demo set'
MARKER = 'demo_set.json'
LEAST = {'train': 1, 'val': 1, 'size': 32, 'seed': 0}
ADE_FOLDERS = {'train': 'training', 'val': 'validation'}

SHEET_ROWS, SHEET_COLUMNS, TILE = 6, 4, 200

# Runs of consecutive official category ids: (supercategory, first id, names).
COCO_RUNS = (
    ('person', 1, 'person'),
    ('vehicle', 2, 'bicycle, car, motorcycle, airplane, bus, train, truck, boat'),
    ('outdoor', 10, 'traffic light, fire hydrant'),
    ('outdoor', 13, 'stop sign, parking meter, bench'),
    ('animal', 16, 'bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe'),
    ('accessory', 27, 'backpack, umbrella'),
    ('accessory', 31, 'handbag, tie, suitcase'),
    ('sports', 34, 'frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove'),
    ('sports', 41, 'skateboard, surfboard, tennis racket'),
    ('kitchen', 44, 'bottle'),
    ('kitchen', 46, 'wine glass, cup, fork, knife, spoon, bowl'),
    ('food', 52, 'banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake'),
    ('furniture', 62, 'chair, couch, potted plant, bed'),
    ('furniture', 67, 'dining table'),
    ('furniture', 70, 'toilet'),
    ('electronic', 72, 'tv, laptop, mouse, remote, keyboard, cell phone'),
    ('appliance', 78, 'microwave, oven, toaster, sink, refrigerator'),
    ('indoor', 84, 'book, clock, vase, scissors, teddy bear, hair drier, toothbrush'),
)


def categories() -> list[dict]:
    """Return the 80 official COCO categories with their ids from 1 to 90."""
    return [
        {'supercategory': group, 'id': number, 'name': name}
        for group, first, names in COCO_RUNS
        for number, name in enumerate(names.split(', '), first)
    ]


def outlines(mask: np.ndarray) -> list[list[float]]:
    """Return the outer outlines of a mask as COCO polygons [x, y, x, y, ...] in pixels."""
    # On pixels cut in nine, outlines run inside the pixel edges and decode to the same mask.
    fine = mask.repeat(3, axis=0).repeat(3, axis=1).astype(np.uint8)
    rings, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [np.round((points.ravel() + 0.5) / 3, 2).tolist() for points in rings]


def segmentation(mask: np.ndarray) -> list[list[float]] | dict:
    """Return a mask as COCO polygons where they say all of it, else (holes) as an RLE."""
    rings = outlines(mask)
    filled = rle_tools.merge(rle_tools.frPyObjects(rings, *mask.shape))
    if np.array_equal(rle_tools.decode(filled), mask):
        return rings
    rle = rle_tools.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {'size': list(mask.shape), 'counts': rle['counts'].decode()}


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) in pixels around a mask."""
    return cv2.boundingRect(mask.astype(np.uint8))


def annotation(kind: Kind, mask: np.ndarray) -> dict:
    """Return the COCO annotation of an object, without its ids."""
    return {
        'category_id': kind.coco_id,
        'bbox': list(box_of(mask)),
        'area': int(mask.sum()),
        'iscrowd': 0,
        'segmentation': segmentation(mask),
    }


def write_image(image: np.ndarray, *paths: Path) -> None:
    """Write an RGB image as the same JPEG file to each path."""
    _, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    for path in paths:
        path.write_bytes(data.tobytes())


def write_split(root: Path, split: str, count: int, size: int, seed: int, bar: tqdm) -> None:
    """Write the images, the COCO file and the ADE20K labels of one split."""
    coco, ade, part = root / 'coco', root / 'ade', ADE_FOLDERS[split]
    folders = coco / f'{split}2017', ade / 'images' / part, ade / 'annotations' / part
    for folder in (*folders, coco / 'annotations'):
        folder.mkdir(parents=True, exist_ok=True)
    images, found = [], []
    for number in range(1, count + 1):
        scene = make_scene(seed, split, number, size)
        coco_name, ade_name = f'{number:012d}.jpg', f'ADE_{split}_{number:08d}'
        write_image(scene.image, folders[0] / coco_name, folders[1] / f'{ade_name}.jpg')
        _, png = cv2.imencode('.png', scene.labels)
        (folders[2] / f'{ade_name}.png').write_bytes(png.tobytes())
        images.append({'id': number, 'file_name': coco_name, 'width': size, 'height': size})
        found += [{'image_id': number, **annotation(*one)} for one in scene.objects]
        bar.update()
    content = {
        'info': {'description': MAKER, 'version': str(VERSION)},
        'licenses': [],
        'images': images,
        'annotations': [{'id': number, **one} for number, one in enumerate(found, 1)],
        'categories': categories(),
    }
    text = json.dumps(content, separators=(',', ':'))
    (coco / 'annotations' / f'instances_{split}2017.json').write_text(text)


def as_mm_reads(scope: str, root: str, split: str) -> tuple[dict, dict]:
    """Return the settings of the dataset and the metric of a split, for mmdet or mmseg."""
    if scope == 'mmseg':
        part = ADE_FOLDERS[split]
        folders = {'img_path': f'images/{part}', 'seg_map_path': f'annotations/{part}'}
        dataset = {'type': 'ADE20KDataset', 'data_root': f'{root}/ade', 'data_prefix': folders}
        return dataset, {'type': 'IoUMetric'}
    coco, notes = f'{root}/coco', f'annotations/instances_{split}2017.json'
    folder = {'img': f'{split}2017/'}
    dataset = {'type': 'CocoDataset', 'data_root': coco, 'ann_file': notes, 'data_prefix': folder}
    return dataset, {'type': 'CocoMetric', 'ann_file': f'{coco}/{notes}'}


def write_text(image: np.ndarray, text: str, x: int, y: int) -> None:
    """Write white text with a dark edge onto an image, its lower left corner near (x, y)."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    corner = min(max(int(x), 2), image.shape[1] - width - 2), max(int(y), height + 2)
    for colour, thick in (((20, 20, 20), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, corner, font, scale, colour, thick, cv2.LINE_AA)


def detection_tile(scene: Scene) -> np.ndarray:
    """Return the image (TILE, TILE, 3) with the outline, box and name of every object."""
    tile = cv2.resize(scene.image, (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    scale = TILE / len(scene.image)
    for kind, mask in scene.objects:
        large = cv2.resize(mask.astype(np.uint8), (TILE, TILE), interpolation=cv2.INTER_LINEAR)
        rings, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(tile, rings, -1, kind.tint, 1, cv2.LINE_AA)
        x, y, width, height = (round(value * scale) for value in box_of(mask))
        cv2.rectangle(tile, (x, y), (x + width - 1, y + height - 1), kind.tint, 1)
    for kind, mask in scene.objects:
        x, y, *_ = (round(value * scale) for value in box_of(mask))
        write_text(tile, kind.name, x, y - 3)
    return tile


def label_tile(scene: Scene) -> np.ndarray:
    """Return the ADE20K labels as flat colours with their names (TILE, TILE, 3)."""
    labels = cv2.resize(scene.labels, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    tints = np.zeros((256, 3), np.uint8)
    tints[list(LEGEND)] = [entry.tint for entry in LEGEND.values()]
    tile = tints[labels]
    for number in np.unique(labels):
        area, name = np.pad(labels == number, 1).astype(np.uint8), LEGEND[number].ade_name
        depth = cv2.distanceTransform(area, cv2.DIST_L2, 5)
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        write_text(tile, name, x - 4 * len(name), y + 4)
    return tile


def overview(scenes: list[Scene]) -> np.ndarray:
    """Return a contact sheet: every scene with its objects, its labels to the right of it."""
    cells = [np.hstack([detection_tile(scene), label_tile(scene)]) for scene in scenes]
    cells = [np.pad(cell, ((4, 4), (4, 4), (0, 0)), constant_values=255) for cell in cells]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % SHEET_COLUMNS)
    rows = [cells[at : at + SHEET_COLUMNS] for at in range(0, len(cells), SHEET_COLUMNS)]
    return np.vstack([np.hstack(row) for row in rows])


def write_set(root: Path, settings: dict) -> None:
    """Write the whole set into a new folder, the file that marks it as complete last."""
    counts = {split: settings[split] for split in ADE_FOLDERS}
    size, seed = settings['size'], settings['seed']
    total = sum(counts.values())
    with tqdm(total=total, desc='Drawing the demo set', unit='image', disable=None) as bar:
        for split, count in counts.items():
            write_split(root, split, count, size, seed, bar)
    shown = range(1, min(counts['train'], SHEET_ROWS * SHEET_COLUMNS) + 1)
    scenes = [make_scene(seed, 'train', number, size) for number in shown]
    write_image(overview(scenes), root / 'overview.jpg')
    (root / MARKER).write_text(json.dumps(settings, indent=2) + '\n')


def settings_of(root: Path) -> dict | None:
    """Return the settings with which the set in a folder was made, None if it is not a set."""
    try:
        settings = json.loads((root / MARKER).read_text())
    except (OSError, ValueError):
        return None
    ours = isinstance(settings, dict) and settings.get('made_by') == MAKER
    return settings if ours else None


def is_complete(root: Path, settings: dict) -> bool:
    """Say whether a folder holds the whole set made with these settings."""
    files = [f'coco/annotations/instances_{split}2017.json' for split in ADE_FOLDERS]
    files += ['overview.jpg']
    return settings_of(root) == settings and all((root / name).is_file() for name in files)


def refuse_foreign(root: Path) -> None:
    """Raise FileExistsError if something other than a demo set is in the way."""
    free = not root.exists() or (root.is_dir() and not any(root.iterdir()))
    if not free and settings_of(root) is None:
        raise FileExistsError(f'{root} is not a demo set (no {MARKER} of ours), so it is kept.')


def make_demo_set(
    root: str | Path, train: int = 400, val: int = 50, size: int = 160, seed: int = 0
) -> None:
    """Write a demo set of ``size`` x ``size`` pixel images, unless this very set is there.

    A whole set of other settings is kept, since a training may be reading it.

    Raises:
        ValueError: A number is too small.
        FileExistsError: The folder holds something else, or another set.
    """
    settings = {'train': train, 'val': val, 'size': size, 'seed': seed}
    for name, value in settings.items():
        if not isinstance(value, int) or value < LEAST[name]:
            raise ValueError(f'{name} must be a whole number from {LEAST[name]}, not {value!r}.')
    settings = {'made_by': MAKER, 'version': VERSION, **settings}
    root = Path(root).resolve()
    if is_complete(root, settings):
        return
    refuse_foreign(root)
    there = settings_of(root)
    if there and there.get('version') == VERSION and is_complete(root, there):
        raise FileExistsError(
            f'{root} holds a demo set of {there["train"]} + {there["val"]} images of '
            f'{there["size"]} pixels (seed {there["seed"]}), which a training may be reading; '
            f'take another folder (demo.root), or remove it'
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there whole, so that no run leaves half a set behind.
    with tempfile.TemporaryDirectory(prefix='.demo_set_', dir=root.parent) as work:
        fresh = Path(work) / 'new'
        write_set(fresh, settings)
        if is_complete(root, settings):
            return  # another process of this training was quicker
        if root.exists():
            root.rename(Path(work) / 'old')
        fresh.rename(root)
