"""Generates the demo pictures: landscapes and patterns of varied size, shape and colour, the same in every run."""

import io
import math
import random
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

Colour = tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


class Picture(NamedTuple):
    owner: str
    title: str
    description: str
    scene: str
    """The name of a function below."""
    size: tuple[int, int]
    colours: tuple[str, ...]
    public: bool = True
    kind: str = "jpeg"


PICTURES = [
    Picture(
        "premium",
        "Harbour at dawn",
        "The first ferry leaves at six.",
        "sea",
        (1600, 1067),
        ("#f7b267", "#f25c54", "#1b3a4b"),
    ),
    Picture("premium", "Above the fog", "", "hills", (1800, 1200), ("#e0fbfc", "#98c1d9", "#293241")),
    Picture(
        "enterprise",
        "Dunes, late afternoon",
        "Twenty minutes before the wind came up.",
        "hills",
        (1600, 900),
        ("#ffe8c2", "#e09f3e", "#540b0e"),
    ),
    Picture("basic", "Night over the valley", "", "night", (1200, 1600), ("#0b132b", "#1c2541", "#5bc0be")),
    Picture(
        "enterprise",
        "Green ridge",
        "A walk of two hours from the car park.",
        "hills",
        (2400, 800),
        ("#f1faee", "#a8dadc", "#1d5c45"),
    ),
    Picture("premium", "Roof tiles", "", "tiles", (1100, 1100), ("#bc4749", "#a44a3f", "#6d2e22")),
    Picture("basic", "Lanterns", "Reflected in the canal.", "circles", (1000, 1500), ("#ffba08", "#e85d04", "#370617")),
    Picture("enterprise", "Slow tide", "", "sea", (2000, 1000), ("#cdb4db", "#a2d2ff", "#22577a")),
    Picture("premium", "Snow line", "The north face in May.", "hills", (1400, 1400), ("#dfe7fd", "#b6ccfe", "#3d405b")),
    Picture("basic", "Market awnings", "", "stripes", (1500, 1000), ("#f4f1de", "#e07a5f", "#3d405b")),
    Picture(
        "enterprise",
        "Window of the chapel",
        "Made by hand, piece by piece.",
        "tiles",
        (900, 1600),
        ("#3a86ff", "#8338ec", "#ffbe0b"),
    ),
    Picture("premium", "New moon", "", "night", (1600, 1000), ("#03071e", "#14213d", "#e5e5e5")),
    Picture(
        "basic",
        "Balloons over the lake",
        "Eleven were counted.",
        "circles",
        (1800, 1200),
        ("#8ecae6", "#fb8500", "#219ebc"),
    ),
    Picture("enterprise", "Ploughed field", "", "stripes", (1300, 1700), ("#dda15e", "#bc6c25", "#283618")),
    Picture(
        "premium", "Lighthouse bay", "Seen from the coast path.", "sea", (1500, 1500), ("#fefae0", "#90be6d", "#277da1")
    ),
    Picture("basic", "Canyon", "", "hills", (1000, 1800), ("#ffcdb2", "#e5989b", "#6d3b47")),
    Picture(
        "enterprise",
        "Winter stars",
        "Thirty seconds, no wind.",
        "night",
        (2200, 1100),
        ("#10002b", "#3c096c", "#c77dff"),
    ),
    Picture("premium", "Beach towels", "", "stripes", (1600, 1200), ("#48cae4", "#fff3b0", "#e63946")),
    Picture(
        "basic",
        "Mosaic floor",
        "The museum asked not to use a flash.",
        "tiles",
        (1400, 1050),
        ("#264653", "#2a9d8f", "#e9c46a"),
    ),
    Picture("enterprise", "Blue hour", "", "hills", (3000, 1000), ("#caf0f8", "#0077b6", "#03045e")),
    Picture("premium", "Soap bubbles", "", "circles", (1200, 1200), ("#ffc8dd", "#bde0fe", "#7209b7"), kind="webp"),
    Picture(
        "basic",
        "Storm coming in",
        "We were back before it broke.",
        "sea",
        (1900, 1070),
        ("#8d99ae", "#5c677d", "#1b2631"),
    ),
    Picture(
        "enterprise",
        "Poster for the fair",
        "Draft, for print at A3.",
        "stripes",
        (1240, 1754),
        ("#f72585", "#4cc9f0", "#fdfcdc"),
        kind="png",
    ),
    Picture("premium", "App icon", "", "circles", (256, 256), ("#06d6a0", "#118ab2", "#073b4c"), kind="png"),
    Picture("basic", "Autumn slope", "", "hills", (1700, 1130), ("#fff1d0", "#f08700", "#7a1f0a")),
    Picture(
        "enterprise",
        "Panorama from the pass",
        "Joined from five pictures.",
        "hills",
        (3600, 900),
        ("#edf2f4", "#8d99ae", "#2b2d42"),
    ),
    Picture(
        "premium", "Passport photo backdrop", "", "stripes", (700, 900), ("#e9ecef", "#dee2e6", "#ced4da"), public=False
    ),
    Picture(
        "premium",
        "Kitchen tiles, option 2",
        "The one with the darker joints.",
        "tiles",
        (1200, 900),
        ("#f8edeb", "#fcd5ce", "#9d8189"),
        public=False,
    ),
    Picture(
        "enterprise",
        "Unpublished cover",
        "Not before the first of the month.",
        "night",
        (1000, 1414),
        ("#1a1a2e", "#16213e", "#e94560"),
        public=False,
    ),
    Picture(
        "enterprise",
        "Site survey, east",
        "",
        "hills",
        (1600, 1200),
        ("#d8f3dc", "#74c69d", "#1b4332"),
        public=False,
        kind="webp",
    ),
    Picture("basic", "Birthday", "", "circles", (1080, 1350), ("#ff99c8", "#fcf6bd", "#a9def9"), public=False),
]


def draw(picture: Picture) -> bytes:
    dice = random.Random(picture.title)
    image = globals()[f"_{picture.scene}"](dice, picture.size, [_rgb(colour) for colour in picture.colours])
    # Grain, without which gradients show bands.
    grain = Image.effect_noise(picture.size, 5).convert("RGB")
    image = ImageChops.add(image, grain, scale=1, offset=-128)
    file = io.BytesIO()
    image.save(file, picture.kind, quality=82)
    return file.getvalue()


def _rgb(text: str) -> Colour:
    return tuple(bytes.fromhex(text.lstrip("#")))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def _lighten(colour: Colour, share: float) -> Colour:
    return _mix(colour, WHITE, share)


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    return ImageOps.colorize(Image.linear_gradient("L").resize(size), top, bottom)


def _disc(
    image: Image.Image, centre: tuple[float, float], radius: float, colour: Colour, strength: int, blur: float = 0
):
    x, y, reach = *centre, math.ceil(radius + 3 * blur)
    mask = Image.new("L", (2 * reach, 2 * reach))
    ImageDraw.Draw(mask).ellipse((reach - radius, reach - radius, reach + radius, reach + radius), fill=strength)
    image.paste(colour, (round(x) - reach, round(y) - reach), mask.filter(ImageFilter.GaussianBlur(blur)))


def _glow(image: Image.Image, centre: tuple[float, float], radius: float, colour: Colour) -> None:
    """A disc with a halo."""
    for scale, strength in ((3, 60), (1.6, 90), (1, 255)):
        _disc(image, centre, radius * scale, colour, strength, blur=radius * (scale - 0.97))


def _ridge(dice: random.Random, image: Image.Image, level: float, rough: float, colour: Colour) -> None:
    width, height = image.size
    waves = [(dice.uniform(0, math.tau), n, rough * height / n) for n in (1.3, 2.9, 5.7, 11, 23)]

    def y(x: int) -> float:
        return level + sum(size * math.sin(phase + math.tau * n * x / max(width, height)) for phase, n, size in waves)

    points = [(x, y(x)) for x in range(0, width + 8, 8)]
    ImageDraw.Draw(image).polygon([(0, height), *points, (width + 8, height)], fill=colour)


def _hills(dice: random.Random, size: tuple[int, int], colours: list[Colour]) -> Image.Image:
    sky, middle, near = colours
    width, height = size
    image = _gradient(size, _mix(sky, middle, 0.45), sky)
    _glow(image, (width * dice.uniform(0.2, 0.8), height * dice.uniform(0.18, 0.35)), min(size) * 0.06, (255, 250, 235))
    layers = 6
    for layer in range(layers):
        share = layer / (layers - 1)
        colour = _mix(middle, near, share) if layer else _mix(sky, middle, 0.7)
        _ridge(dice, image, height * (0.42 + 0.5 * share), 0.06 + 0.02 * share, colour)
    return image


def _sea(dice: random.Random, size: tuple[int, int], colours: list[Colour]) -> Image.Image:
    light, sky, deep = colours
    width, height = size
    horizon = round(height * dice.uniform(0.45, 0.6))
    image = Image.new("RGB", size, deep)
    image.paste(_gradient((width, horizon), sky, light), (0, 0))
    sun = width * dice.uniform(0.25, 0.75)
    _glow(image, (sun, horizon * 0.8), min(size) * 0.07, light)
    image.paste(_gradient((width, height - horizon), _mix(sky, deep, 0.5), deep), (0, horizon))
    pen = ImageDraw.Draw(image)
    for _ in range(900):
        depth = dice.random() ** 1.5
        y = horizon + depth * (height - horizon)
        length = width * (0.01 + 0.06 * depth) * dice.uniform(0.5, 1.5)
        near_sun = dice.random() < 0.5
        x = dice.gauss(sun, width * (0.03 + 0.1 * depth)) if near_sun else dice.uniform(0, width)
        colour = _mix(deep, light if near_sun else sky, dice.uniform(0.2, 0.9 - 0.4 * depth))
        pen.line((x - length / 2, y, x + length / 2, y), fill=colour, width=1 + round(3 * depth))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _night(dice: random.Random, size: tuple[int, int], colours: list[Colour]) -> Image.Image:
    dark, sky, light = colours
    width, height = size
    image = _gradient(size, dark, _mix(sky, light, 0.25))
    pen = ImageDraw.Draw(image)
    for _ in range(width * height // 2500):
        x, y, r = dice.uniform(0, width), dice.uniform(0, height * 0.8), dice.random() ** 6 * 2.6 + 0.4
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_lighten(sky, dice.uniform(0.3, 1)))
    _glow(image, (width * dice.uniform(0.15, 0.85), height * 0.22), min(size) * 0.05, _lighten(light, 0.6))
    for layer in range(3):
        _ridge(dice, image, height * (0.74 + 0.09 * layer), 0.05, _mix(sky, dark, 0.4 + 0.3 * layer))
    return image


def _tiles(dice: random.Random, size: tuple[int, int], colours: list[Colour]) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, _mix(colours[-1], BLACK, 0.5))
    pen = ImageDraw.Draw(image)
    side = min(size) // 12
    for row, y in enumerate(range(0, height, side)):
        for x in range(-side // 2 * (row % 2), width, side):
            shade = _mix(dice.choice(colours), dice.choice([BLACK, WHITE]), dice.uniform(0, 0.3))
            pen.rounded_rectangle((x + 2, y + 2, x + side - 3, y + side - 3), side // 8, fill=shade)
    return image


def _circles(dice: random.Random, size: tuple[int, int], colours: list[Colour]) -> Image.Image:
    width, height = size
    image = _gradient(size, _lighten(colours[0], 0.5), colours[2])
    for number in range(40):
        x, y = dice.uniform(0, width), dice.uniform(0, height)
        r = min(size) * (0.03 + 0.13 * dice.random() ** 2)
        colour = _lighten(colours[number % 2], dice.uniform(0, 0.4))
        _disc(image, (x, y), r, colour, dice.randint(90, 220))
    return image


def _stripes(dice: random.Random, size: tuple[int, int], colours: list[Colour]) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, colours[0])
    pen = ImageDraw.Draw(image)
    slope, x, number = dice.uniform(-0.6, 0.6), -float(height), 0
    while x < width + height:
        thick = min(size) * dice.uniform(0.02, 0.12)
        colour = _lighten(colours[number % len(colours)], dice.uniform(0, 0.2))
        pen.polygon(
            [(x, 0), (x + thick, 0), (x + thick + slope * height, height), (x + slope * height, height)], fill=colour
        )
        x, number = x + thick, number + 1
    return image
