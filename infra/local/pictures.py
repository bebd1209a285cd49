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
    """The name of a method of `Drawing`."""
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
    drawing = Drawing(picture)
    getattr(drawing, picture.scene)()
    # Grain, without which gradients show bands.
    grain = Image.effect_noise(picture.size, 5).convert("RGB")
    image = ImageChops.add(drawing.image, grain, scale=1, offset=-128)
    file = io.BytesIO()
    image.save(file, picture.kind, quality=82)
    return file.getvalue()


def _rgb(text: str) -> Colour:
    return tuple(bytes.fromhex(text.lstrip("#")))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def _lighten(colour: Colour, share: float) -> Colour:
    return _mix(colour, WHITE, share)


class Drawing:
    """An image of a picture's size, and a method for each scene that draws it."""

    def __init__(self, picture: Picture):
        self.dice = random.Random(picture.title)
        self.colours = [_rgb(colour) for colour in picture.colours]
        self.width, self.height = picture.size
        self.side = min(picture.size)
        self.image = Image.new("RGB", picture.size)
        self.pen = ImageDraw.Draw(self.image)

    def hills(self) -> None:
        sky, middle, near = self.colours
        self._gradient(_mix(sky, middle, 0.45), sky)
        self._glow(self._across(0.2, 0.8), self.height * self.dice.uniform(0.18, 0.35), 0.06, (255, 250, 235))
        layers = 6
        for layer in range(layers):
            share = layer / (layers - 1)
            colour = _mix(middle, near, share) if layer else _mix(sky, middle, 0.7)
            self._ridge(0.42 + 0.5 * share, 0.06 + 0.02 * share, colour)

    def sea(self) -> None:
        light, sky, deep = self.colours
        horizon = round(self.height * self.dice.uniform(0.45, 0.6))
        self._gradient(sky, light, bottom=horizon)
        sun = self._across(0.25, 0.75)
        self._glow(sun, horizon * 0.8, 0.07, light)
        self._gradient(_mix(sky, deep, 0.5), deep, top=horizon)
        for _ in range(900):
            depth = self.dice.random() ** 1.5
            y = horizon + depth * (self.height - horizon)
            length = self.width * (0.01 + 0.06 * depth) * self.dice.uniform(0.5, 1.5)
            near_sun = self.dice.random() < 0.5
            x = self.dice.gauss(sun, self.width * (0.03 + 0.1 * depth)) if near_sun else self._across(0, 1)
            colour = _mix(deep, light if near_sun else sky, self.dice.uniform(0.2, 0.9 - 0.4 * depth))
            self.pen.line((x - length / 2, y, x + length / 2, y), fill=colour, width=1 + round(3 * depth))
        self.image.paste(self.image.filter(ImageFilter.GaussianBlur(0.8)))

    def night(self) -> None:
        dark, sky, light = self.colours
        self._gradient(dark, _mix(sky, light, 0.25))
        for _ in range(self.width * self.height // 2500):
            x, y, r = self._across(0, 1), self.dice.uniform(0, self.height * 0.8), self.dice.random() ** 6 * 2.6 + 0.4
            self.pen.ellipse((x - r, y - r, x + r, y + r), fill=_lighten(sky, self.dice.uniform(0.3, 1)))
        self._glow(self._across(0.15, 0.85), self.height * 0.22, 0.05, _lighten(light, 0.6))
        for layer in range(3):
            self._ridge(0.74 + 0.09 * layer, 0.05, _mix(sky, dark, 0.4 + 0.3 * layer))

    def tiles(self) -> None:
        self.image.paste(_mix(self.colours[-1], BLACK, 0.5), (0, 0, self.width, self.height))
        side = self.side // 12
        for row, y in enumerate(range(0, self.height, side)):
            for x in range(-side // 2 * (row % 2), self.width, side):
                shade = _mix(
                    self.dice.choice(self.colours), self.dice.choice([BLACK, WHITE]), self.dice.uniform(0, 0.3)
                )
                self.pen.rounded_rectangle((x + 2, y + 2, x + side - 3, y + side - 3), side // 8, fill=shade)

    def circles(self) -> None:
        self._gradient(_lighten(self.colours[0], 0.5), self.colours[2])
        for number in range(40):
            x, y = self._across(0, 1), self.dice.uniform(0, self.height)
            r = self.side * (0.03 + 0.13 * self.dice.random() ** 2)
            colour = _lighten(self.colours[number % 2], self.dice.uniform(0, 0.4))
            self._disc(x, y, r, colour, self.dice.randint(90, 220))

    def stripes(self) -> None:
        self.image.paste(self.colours[0], (0, 0, self.width, self.height))
        height = self.height
        slope, x, number = self.dice.uniform(-0.6, 0.6), -float(height), 0
        while x < self.width + height:
            thick = self.side * self.dice.uniform(0.02, 0.12)
            colour = _lighten(self.colours[number % len(self.colours)], self.dice.uniform(0, 0.2))
            self.pen.polygon(
                [(x, 0), (x + thick, 0), (x + thick + slope * height, height), (x + slope * height, height)],
                fill=colour,
            )
            x, number = x + thick, number + 1

    def _across(self, start: float, end: float) -> float:
        return self.width * self.dice.uniform(start, end)

    def _gradient(self, upper: Colour, lower: Colour, top: int = 0, bottom: int | None = None) -> None:
        height = (self.height if bottom is None else bottom) - top
        ramp = Image.linear_gradient("L").resize((self.width, height))
        self.image.paste(ImageOps.colorize(ramp, upper, lower), (0, top))

    def _disc(self, x: float, y: float, radius: float, colour: Colour, strength: int, blur: float = 0) -> None:
        reach = math.ceil(radius + 3 * blur)
        mask = Image.new("L", (2 * reach, 2 * reach))
        ImageDraw.Draw(mask).ellipse((reach - radius, reach - radius, reach + radius, reach + radius), fill=strength)
        self.image.paste(colour, (round(x) - reach, round(y) - reach), mask.filter(ImageFilter.GaussianBlur(blur)))

    def _glow(self, x: float, y: float, size: float, colour: Colour) -> None:
        """A disc with a halo. `size`: its radius as a share of the shorter side."""
        radius = self.side * size
        for scale, strength in ((3, 60), (1.6, 90), (1, 255)):
            self._disc(x, y, radius * scale, colour, strength, blur=radius * (scale - 0.97))

    def _ridge(self, level: float, rough: float, colour: Colour) -> None:
        width, height = self.width, self.height
        waves = [(self.dice.uniform(0, math.tau), n, rough * height / n) for n in (1.3, 2.9, 5.7, 11, 23)]

        def y(x: int) -> float:
            swell = sum(size * math.sin(phase + math.tau * n * x / max(width, height)) for phase, n, size in waves)
            return level * height + swell

        points = [(x, y(x)) for x in range(0, width + 8, 8)]
        self.pen.polygon([(0, height), *points, (width + 8, height)], fill=colour)
