"""Draw the demo set: small made-up scenes, laid out like COCO 2017 and like ADE20K.

Nothing is downloaded. The same scenes are written twice, as ``<root>/coco`` for detection and
instance segmentation and as ``<root>/ade`` for semantic segmentation, so that the unmodified
``CocoDataset`` and ``ADE20KDataset`` read them. Colours are RGB and shapes live in a unit square
(x to the right and y down, both from -1 to 1) until they are placed on a canvas.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as rle_tools
from tqdm import tqdm

# To be raised with every change to the pictures, so that older sets are made anew.
VERSION = 1
MAKER = 'mmbackbones demo set'
MARKER = 'demo_set.json'
LEAST = {'train': 1, 'val': 1, 'size': 32, 'seed': 0}
ADE_FOLDERS = {'train': 'training', 'val': 'validation'}

# Odd, so that the middle sub-pixel of every pixel decides which label the pixel gets.
ZOOM = 3
MOST_OBJECTS = 6
TRIES = 40
LEAST_VISIBLE = 0.45
SHEET_ROWS, SHEET_COLUMNS, TILE = 6, 4, 200

Colour = tuple[int, int, int]

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

# Pen strokes of the capital letters on the stop sign, in a box from (0, 0) to (1, 1).
LETTERS = {
    'S': [[(1, 0), (0, 0), (0, 0.5), (1, 0.5), (1, 1), (0, 1)]],
    'T': [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    'O': [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]],
    'P': [[(0, 1), (0, 0), (1, 0), (1, 0.55), (0, 0.55)]],
}

# Outlines of a vase: its half width (second row) at each height (first row).
VASES = (
    ((-1, -0.9, -0.6, -0.1, 0.45, 0.85, 1), (0.36, 0.3, 0.24, 0.62, 0.56, 0.3, 0.36)),
    ((-1, -0.9, -0.65, 0, 0.5, 0.85, 1), (0.5, 0.42, 0.36, 0.68, 0.6, 0.36, 0.42)),
    ((-1, -0.9, -0.35, 0.2, 0.6, 0.88, 1), (0.34, 0.26, 0.22, 0.52, 0.66, 0.42, 0.44)),
)

# Colours of the sky at its top and at the horizon: fair, hazy, evening.
SKIES = (
    ((108, 152, 198), (200, 216, 224)),
    ((146, 164, 182), (214, 216, 210)),
    ((124, 134, 172), (230, 204, 182)),
)


class Layer(NamedTuple):
    """One piece of a shape: ``points`` (N, 2), filled, or drawn as a line ``width`` units wide."""

    points: np.ndarray
    colour: Colour
    width: float = 0.0


class Pose(NamedTuple):
    """Where a shape lies: centre and radius in canvas pixels, angle in radians, clockwise."""

    x: float
    y: float
    radius: float
    angle: float


@dataclass(frozen=True)
class Kind:
    """A kind of object: its official numbers, how to draw it and how far it tilts (degrees)."""

    name: str
    coco_id: int
    ade_label: int
    ade_name: str
    tint: Colour
    shape: Callable[[np.random.Generator], list[Layer]]
    tilt: float
    bulge: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Region:
    """A background: its ADE20K label, its texture and how rough its upper edge is (of a side)."""

    ade_label: int
    ade_name: str
    tint: Colour
    paint: Callable[[int, np.random.Generator], np.ndarray]
    rough: float = 0.0


class Item(NamedTuple):
    """An object on the canvas, ``mask`` (side, side) being all of it, hidden parts included."""

    kind: Kind
    layers: list[Layer]
    pose: Pose
    mask: np.ndarray


class Scene(NamedTuple):
    """An RGB image (size, size, 3), its ADE20K labels and the visible mask of each object."""

    image: np.ndarray
    labels: np.ndarray
    objects: list[tuple[Kind, np.ndarray]]


def ring(radius: float, corners: int = 48, start: float = 0.0) -> np.ndarray:
    """Return the corners (N, 2) of a regular polygon around the origin, a circle by default."""
    angles = start + np.arange(corners) * 2 * np.pi / corners
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def line(*points: tuple[float, float]) -> np.ndarray:
    """Return the given points as an array (N, 2)."""
    return np.array(points, dtype=float)


def spoke(angle: float, inner: float, outer: float) -> np.ndarray:
    """Return a straight line (2, 2) at ``angle`` from one distance from the origin to another."""
    return np.outer((inner, outer), (np.cos(angle), np.sin(angle)))


def stop_sign(rng: np.random.Generator) -> list[Layer]:
    """Return a red octagon with a white rim and the word STOP."""
    white, red = (246, 244, 240), (206, 24, 32)
    plates = ((1.0, (96, 14, 20)), (0.95, white), (0.82, red))
    layers = [Layer(ring(radius, 8, np.pi / 8), colour) for radius, colour in plates]
    for place, letter in enumerate('STOP'):
        corner = (-0.62 + 0.35 * place, -0.24)
        strokes = [corner + line(*stroke) * (0.2, 0.48) for stroke in LETTERS[letter]]
        layers += [Layer(stroke, white, 0.095) for stroke in strokes]
    return layers


def sports_ball(rng: np.random.Generator) -> list[Layer]:
    """Return an orange basketball with dark seams and a highlight."""
    seam = (74, 34, 16)
    arc = ring(0.8, 96) - (1.1, 0)
    arc = arc[(np.hypot(*arc.T) < 0.95) & (arc[:, 0] > -0.95)]
    seams = [line((-0.95, 0), (0.95, 0)), line((0, -0.95), (0, 0.95)), arc, -arc]
    return [
        Layer(ring(1.0), seam),
        Layer(ring(0.94), (240, 128, 22)),
        *(Layer(points, seam, 0.07) for points in seams),
        Layer(ring(0.13) * (1.3, 0.8) + (-0.28, -0.5), (255, 214, 150)),
    ]


def clock(rng: np.random.Generator) -> list[Layer]:
    """Return a white clock face with a dark rim, twelve marks and hands at a random time."""
    ink = (34, 36, 42)
    rim = ((36, 38, 46), (58, 36, 30), (28, 52, 46))[rng.integers(3)]
    hour = rng.uniform(0, 12)
    turns = np.array([hour / 12, hour % 1, rng.random()]) * 2 * np.pi - np.pi / 2
    marks = [spoke(angle, 0.66, 0.76) for angle in np.arange(12) * np.pi / 6]
    hands = ((0.42, 0.12, ink), (0.64, 0.08, ink), (0.68, 0.035, (200, 40, 40)))
    return [
        Layer(ring(1.0), rim),
        Layer(ring(0.9), (150, 152, 158)),
        Layer(ring(0.86), (250, 248, 240)),
        *(Layer(mark, ink, 0.05) for mark in marks),
        *(
            Layer(spoke(turn, -0.12, reach), colour, width)
            for turn, (reach, width, colour) in zip(turns, hands, strict=True)
        ),
        Layer(ring(0.08), ink),
    ]


def kite(rng: np.random.Generator) -> list[Layer]:
    """Return a diamond with magenta and cyan quarters, crossed spars and a wavy tail with bows."""
    magenta, cyan, dark = (222, 30, 150), (20, 196, 214), (70, 16, 70)
    top, right, bottom, left, middle = (0, -1), (0.74, -0.26), (0, 0.62), (-0.74, -0.26), (0, -0.26)
    down = np.linspace(0, 1, 16)
    sway = 0.13 * np.sin(down * 8) * rng.choice((-1, 1))
    tail = np.stack([sway, 0.6 + 0.62 * down], axis=1)
    bow = line((-0.15, -0.09), (0.15, 0.09), (0.15, -0.09), (-0.15, 0.09))
    return [
        Layer(tail, magenta, 0.1),
        Layer(tail[8] + bow, cyan),
        Layer(line(top, right, middle), magenta),
        Layer(line(right, bottom, middle), cyan),
        Layer(line(bottom, left, middle), magenta),
        Layer(line(left, top, middle), cyan),
        Layer(line(top, bottom), dark, 0.04),
        Layer(line(left, right), dark, 0.04),
        Layer(line(top, right, bottom, left, top), dark, 0.06),
    ]


def vase(rng: np.random.Generator) -> list[Layer]:
    """Return a white vase with blue bands, a blue wave and a blue flower of dots."""
    blue, white = (24, 52, 150), (240, 244, 250)
    heights, widths = VASES[rng.integers(len(VASES))]

    def turned(top: float, bottom: float, inset: float = 0.0) -> np.ndarray:
        along = np.linspace(top, bottom, 32)
        across = smooth(along, heights, widths) - inset
        right = np.stack([across, along], axis=1)
        return np.concatenate([right, right[::-1] * (-1, 1)])

    belly = heights[int(np.argmax(widths))]
    along = np.linspace(-0.9, 0.9, 40) * smooth(belly - 0.3, heights, widths)
    wave = np.stack([along, belly - 0.3 + 0.05 * np.sin(along * 22)], axis=1)
    bands = ((-0.96, -0.88), (-0.6, -0.54), (belly + 0.3, belly + 0.37), (0.88, 0.96))
    return [
        Layer(turned(-1, 1), (18, 34, 92)),
        Layer(turned(-0.96, 0.96, 0.045), white),
        *(Layer(turned(top, bottom, 0.045), blue) for top, bottom in bands),
        Layer(wave, blue, 0.06),
        *(Layer(ring(0.09, 12) + (0, belly) + petal, blue) for petal in ring(0.17, 6)),
        Layer(ring(0.075, 12) + (0, belly), (210, 160, 40)),
    ]


def smooth(at: np.ndarray | float, knots: tuple, values: tuple) -> np.ndarray:
    """Interpolate ``values`` given at ``knots`` with a curve that is level at every knot."""
    place = np.interp(at, knots, np.arange(len(knots)))
    start = np.minimum(place.astype(int), len(knots) - 2)
    step = place - start
    step = step * step * (3 - 2 * step)
    values = np.asarray(values)
    return values[start] * (1 - step) + values[start + 1] * step


# Labels of ADE20K are places in its official list of 150 classes, counted from 1.
KINDS = (
    Kind('stop sign', 13, 44, 'signboard', (230, 40, 50), stop_sign, 20),
    Kind('sports ball', 37, 120, 'ball', (250, 150, 30), sports_ball, 60, (0.3, 0.3)),
    Kind('clock', 85, 149, 'clock', (250, 240, 150), clock, 15),
    Kind('kite', 38, 150, 'flag', (235, 60, 190), kite, 40),
    Kind('vase', 86, 136, 'vase', (60, 90, 230), vase, 12, (0.8, 0.0)),
)


def noise(side: int, rng: np.random.Generator, across: int, down: int) -> np.ndarray:
    """Return smooth noise (side, side) from about -1 to 1 with a given number of bumps."""
    grid = rng.uniform(-1, 1, (down + 1, across + 1)).astype(np.float32)
    return cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)


def clouds(side: int, rng: np.random.Generator, across: int, down: int) -> np.ndarray:
    """Return noise (side, side) from about -1 to 1 with ever finer detail."""
    octaves = [noise(side, rng, across * 2**k, down * 2**k) * 0.5**k for k in range(4)]
    return sum(octaves) / 1.3


def ridge(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a jagged line, its heights (side,) from about -1 to 1."""
    rows = [rng.uniform(-1, 1, (1, 5 * 2**k)) * 0.5**k for k in range(4)]
    return sum(cv2.resize(row, (side, 1), interpolation=cv2.INTER_CUBIC)[0] for row in rows) / 1.3


def mix(low: Colour, high: Colour, weight: np.ndarray) -> np.ndarray:
    """Return colours (side, side, 3) between two, all ``low`` at weight 0, all ``high`` at 1."""
    low, high = np.float32(low), np.float32(high)
    weight = np.clip(weight, 0, 1).astype(np.float32)
    return cv2.transform(weight, np.stack([high - low, low], axis=1))


def veil(image: np.ndarray, colour: Colour, weight: np.ndarray) -> np.ndarray:
    """Cover an image (side, side, 3) with a colour, unseen at weight 0, hiding it at 1."""
    flat = np.full_like(image, colour)
    weight = weight.astype(np.float32)
    return cv2.blendLinear(image, flat, 1 - weight, weight)


def axes(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x (1, side) and y (side, 1), both from 0 to 1."""
    steps = np.linspace(0, 1, side, dtype=np.float32)
    return steps[None, :], steps[:, None]


def sky(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a sky that pales towards the horizon, with a few clouds (side, side, 3)."""
    x, y = axes(side)
    top, low = SKIES[rng.integers(len(SKIES))]
    air = mix(top, low, y * 1.6 + 0 * x)
    cover = np.clip(clouds(side, rng, 3, 6) * 1.5 - rng.uniform(0, 0.6), 0, 0.9)
    return veil(air, (244, 244, 242), cover)


def grass(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a meadow with patches and upright blades (side, side, 3)."""
    patches, blades = clouds(side, rng, 5, 5), noise(side, rng, side // 5, side // 16)
    return mix((76, 102, 50), (152, 168, 98), 0.5 + 0.3 * patches + 0.3 * blades)


def sea(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return water with long flat waves and a few glints (side, side, 3)."""
    swell, ripples = noise(side, rng, 4, 24), noise(side, rng, 14, 70)
    water = mix((48, 86, 104), (112, 146, 154), 0.45 + 0.3 * swell + 0.25 * ripples)
    glints = np.clip(swell + ripples - 0.9, 0, 0.7)
    return veil(water, (222, 228, 226), glints)


def sand(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return sand with wind ripples and grains (side, side, 3)."""
    x, y = axes(side)
    ripples = np.sin(y * 90 + x * 8 + 5 * clouds(side, rng, 3, 3))
    grains = noise(side, rng, side // 4, side // 4)
    return mix((168, 148, 112), (214, 198, 162), 0.5 + 0.22 * ripples + 0.25 * grains)


def wall(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a brick wall whose bricks differ in tone (side, side, 3)."""
    x, y = axes(side)
    rows = y * rng.uniform(11, 15)
    columns = x * rng.uniform(5, 7) + np.floor(rows) % 2 / 2
    tones = rng.uniform(0.15, 0.85, (16, 9))[rows.astype(int), columns.astype(int)]
    bricks = mix((118, 82, 70), (168, 128, 108), tones + 0.2 * clouds(side, rng, 8, 8))
    mortar = (rows % 1 < 0.14) | (columns % 1 < 0.06)
    return veil(bricks, (172, 166, 156), mortar)


def floor(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return floorboards that run away from the viewer, with grain (side, side, 3)."""
    x, y = axes(side)
    boards = (x - rng.uniform(0.2, 0.8)) / (y + 0.15) * 7 + 64
    tones = rng.uniform(0.1, 0.8, 128)[boards.astype(int)]
    grain = noise(side, rng, side // 5, 8)
    wood = mix((110, 92, 74), (164, 144, 118), tones + 0.2 * grain)
    return veil(wood, (64, 54, 46), 0.8 * (boards % 1 < 0.05))


def mountain(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return bluish slopes that fade downwards into haze (side, side, 3)."""
    slopes = mix((84, 96, 112), (136, 146, 156), 0.5 + 0.6 * clouds(side, rng, 7, 5))
    x, y = axes(side)
    return veil(slopes, (176, 186, 192), 0.6 * y + 0 * x)


REGIONS = {
    'sky': Region(3, 'sky', (150, 190, 230), sky),
    'wall': Region(1, 'wall', (190, 140, 120), wall),
    'mountain': Region(17, 'mountain', (120, 130, 150), mountain, 0.07),
    'grass': Region(10, 'grass', (100, 150, 70), grass, 0.015),
    'sea': Region(27, 'sea', (60, 120, 150), sea),
    'sand': Region(47, 'sand', (226, 206, 150), sand, 0.02),
    'floor': Region(4, 'floor', (140, 110, 80), floor),
}
# What lies behind the objects, from the top of the image to its bottom.
BACKDROPS = (
    ('sky', 'grass'),
    ('sky', 'mountain', 'grass'),
    ('sky', 'sea'),
    ('sky', 'sea', 'sand'),
    ('sky', 'sand'),
    ('wall', 'floor'),
    ('wall', 'grass'),
)
LEGEND = {entry.ade_label: entry for entry in (*KINDS, *REGIONS.values())}


def backdrop(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a background (side, side, 3) uint8 and its ADE20K labels (side, side) uint8."""
    first, *others = BACKDROPS[rng.integers(len(BACKDROPS))]
    canvas = REGIONS[first].paint(side, rng)
    labels = np.full((side, side), REGIONS[first].ade_label, np.uint8)
    level = rng.uniform(0.3, 0.62)
    for name in others:
        region = REGIONS[name]
        edge = level + region.rough * ridge(side, rng)
        below = axes(side)[1] >= edge
        cv2.copyTo(region.paint(side, rng), below.astype(np.uint8), canvas)
        labels[below] = region.ade_label
        level += rng.uniform(0.1, 0.2)
    return np.clip(canvas, 0, 255).astype(np.uint8), labels


def placed(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Return the unit-square points (N, 2) of a shape as canvas pixels (N, 2)."""
    cos, sin = np.cos(pose.angle), np.sin(pose.angle)
    turned = points @ np.array([[cos, sin], [-sin, cos]])
    return turned * pose.radius + (pose.x, pose.y)


def draw(canvas: np.ndarray, layers: list[Layer], pose: Pose) -> None:
    """Draw the layers in order onto a canvas (side, side[, 3]) uint8."""
    for layer in layers:
        corners = [np.round(placed(layer.points, pose) * 16).astype(np.int32)]
        if layer.width:
            thick = max(1, round(layer.width * pose.radius))
            cv2.polylines(canvas, corners, False, layer.colour, thick, shift=4)
        else:
            cv2.fillPoly(canvas, corners, layer.colour, shift=4)


def silhouette(layers: list[Layer], pose: Pose, side: int) -> np.ndarray:
    """Return which pixels (side, side) of the canvas the layers cover, as 0 and 1 in uint8."""
    mask = np.zeros((side, side), np.uint8)
    draw(mask, [layer._replace(colour=(1, 1, 1)) for layer in layers], pose)
    return mask


def window(pose: Pose, side: int, reach: float) -> tuple[slice, slice]:
    """Return the rows and columns within ``reach`` radii of the centre, cut to the canvas."""
    span = reach * pose.radius
    ends = [(int(max(0, at - span)), int(min(side, at + span + 1))) for at in (pose.y, pose.x)]
    return slice(*ends[0]), slice(*ends[1])


def cast_shadow(canvas: np.ndarray, item: Item, light: np.ndarray) -> None:
    """Darken the canvas softly on the side of the object that turns away from the light."""
    pose, side = item.pose, len(canvas)
    x, y = (pose.x, pose.y) - 0.13 * pose.radius * light
    area = window(pose, side, 1.6)
    blur = int(pose.radius * 0.2) + 1
    shade = silhouette(item.layers, pose._replace(x=x, y=y), side)[area].astype(np.float32)
    dark = 1 - 0.45 * cv2.blur(shade, (blur, blur))
    canvas[area] = canvas[area] * dark[..., None]


def shade(canvas: np.ndarray, item: Item, light: np.ndarray) -> None:
    """Brighten the object towards the light and darken it where it curves away."""
    pose, area = item.pose, window(item.pose, len(canvas), 1.4)
    y, x = np.mgrid[area].astype(np.float32)
    x, y = (x - pose.x) / pose.radius, (y - pose.y) / pose.radius
    across = x * np.cos(pose.angle) + y * np.sin(pose.angle)
    along = y * np.cos(pose.angle) - x * np.sin(pose.angle)
    curve = item.kind.bulge[0] * across**2 + item.kind.bulge[1] * along**2
    bright = 1.05 + 0.14 * (x * light[0] + y * light[1]) - curve
    inside = item.mask[area] > 0
    lit = np.clip(canvas[area][inside] * bright[inside][:, None], 0, 255)
    canvas[area][inside] = lit.astype(np.uint8)


def random_item(side: int, rng: np.random.Generator) -> Item:
    """Return an object of random kind, 18 % to 50 % of the side large, mostly in the image."""
    kind = KINDS[rng.integers(len(KINDS))]
    radius = side * (0.09 + 0.16 * rng.random() ** 1.4)
    x, y = rng.uniform(0.85 * radius, side - 0.85 * radius, 2)
    pose = Pose(x, y, radius, np.radians(rng.uniform(-kind.tilt, kind.tilt)))
    layers = kind.shape(rng)
    return Item(kind, layers, pose, silhouette(layers, pose, side))


def populate(side: int, rng: np.random.Generator) -> tuple[list[Item], np.ndarray]:
    """Return the objects from back to front and the number of the one seen at each pixel.

    The map (side, side) uint8 is 0 on the background and n + 1 on object n; an object that
    would hide too much of an earlier one is dropped.
    """
    wanted = rng.integers(2, MOST_OBJECTS + 1)
    items, owners = [], np.zeros((side, side), np.uint8)
    for _ in range(TRIES):
        item = random_item(side, rng)
        trial = np.where(item.mask, np.uint8(len(items) + 1), owners)
        areas = np.array([np.count_nonzero(one.mask) for one in items])
        seen = np.bincount(trial.ravel(), minlength=len(items) + 1)[1 : len(items) + 1]
        if np.all(seen >= LEAST_VISIBLE * areas):
            items, owners = [*items, item], trial
        if len(items) == wanted:
            break
    return items, owners


def photograph(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shrink a canvas to its final size and vary its exposure, tint and grain a little."""
    size = len(canvas) // ZOOM
    image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    gain = rng.uniform(0.88, 1.1) * rng.uniform(0.97, 1.03, 3)
    grain = rng.normal(0, 3.0, image.shape)
    return np.clip(image * gain + grain, 0, 255).astype(np.uint8)


def make_scene(seed: int, split: str, index: int, size: int) -> Scene:
    """Return scene ``index`` of a split, which depends on nothing but these arguments."""
    rng = np.random.default_rng([seed, list(ADE_FOLDERS).index(split), index])
    side = size * ZOOM
    canvas, labels = backdrop(side, rng)
    items, owners = populate(side, rng)
    light = np.array([rng.choice((-0.7, 0.7)), -0.7])
    for item in items:
        cast_shadow(canvas, item, light)
        draw(canvas, item.layers, item.pose)
        shade(canvas, item, light)
    middle = slice(ZOOM // 2, None, ZOOM)
    labels, owners = labels[middle, middle].copy(), owners[middle, middle]
    objects = [(item.kind, owners == number) for number, item in enumerate(items, 1)]
    for kind, mask in objects:
        labels[mask] = kind.ade_label
    return Scene(photograph(canvas, rng), labels, objects)


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
    """Write a demo set of ``size`` x ``size`` pixel images, unless this very set is there."""
    settings = {'train': train, 'val': val, 'size': size, 'seed': seed}
    for name, value in settings.items():
        if not isinstance(value, int) or value < LEAST[name]:
            raise ValueError(f'{name} must be a whole number from {LEAST[name]}, not {value!r}.')
    settings = {'made_by': MAKER, 'version': VERSION, **settings}
    root = Path(root).resolve()
    if is_complete(root, settings):
        return
    refuse_foreign(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there whole, so that no run leaves half a set behind.
    with tempfile.TemporaryDirectory(prefix='.demo_set_', dir=root.parent) as work:
        fresh = Path(work) / 'new'
        write_set(fresh, settings)
        if root.exists():
            root.rename(Path(work) / 'old')
        fresh.rename(root)


EXAMPLE = """\
example:
  $ python tools/demo_set.py data/demo --train 400 --val 50
  data/demo holds 400 training and 50 validation images; overview.jpg shows some of them.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('root', nargs='?', default='data/demo', help='folder (data/demo)')
    parser.add_argument('--train', type=int, default=400, help='training images (400)')
    parser.add_argument('--val', type=int, default=50, help='validation images (50)')
    parser.add_argument('--size', type=int, default=160, help='side of an image in pixels (160)')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other scenes (0)')
    options = parser.parse_args(arguments)
    try:
        make_demo_set(**vars(options))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    counts = f'{options.train} training and {options.val} validation images'
    print(f'{options.root} holds {counts}; overview.jpg shows some of them.')


if __name__ == '__main__':
    main()
