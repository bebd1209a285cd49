"""Writes the pictures that the browser tests upload: of many shapes and colours, and in all eight orientations."""

import io
import sys
from pathlib import Path

from PIL import Image

from infra.local.pictures import Picture, draw

SHAPES = [(1200, 800), (800, 1200), (1600, 900), (1000, 1000), (2400, 800), (600, 1500), (1024, 768), (900, 1350)]
COLOURS = ["#e0fbfc", "#98c1d9", "#293241", "#ffe8c2", "#e09f3e", "#540b0e", "#8ecae6", "#fb8500", "#219ebc", "#1d5c45"]
ORIENTATION = 0x0112


def picture(number: int, size: tuple[int, int]) -> bytes:
    scene = ("hills", "sea")[number % 2]
    return draw(Picture("", f"picture {number}", "", scene, size, tuple(COLOURS[number : number + 3])))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(SHAPES):
        (folder / f"picture-{number}.jpg").write_bytes(picture(number, size))
    with Image.open(io.BytesIO(picture(len(SHAPES) - 1, (600, 400)))) as turned:
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[ORIENTATION] = orientation
            turned.save(folder / f"orientation-{orientation}.jpg", quality=80, exif=exif)


main()
