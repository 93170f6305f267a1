"""Made-up scenes for the demo set: what they show, how it is drawn, and which pixel is what.

Colours are RGB and shapes live in a unit square (x to the right and y down, both from -1 to 1)
until they are placed on a canvas.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

# Odd, so that the middle sub-pixel of every pixel decides which label the pixel gets.
ZOOM = 3
SPLITS = ('train', 'val')  # each draws from a random stream of its own
MOST_OBJECTS = 6
TRIES = 40
LEAST_VISIBLE = 0.45

Colour = tuple[int, int, int]

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
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
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
