"""Writes the pictures that the browser tests upload: of many shapes and colours, and in all eight orientations."""

import io
import sys
from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

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
    with Image.open(io.BytesIO(picture(0, (600, 400)))) as taken:
        taken.save(folder / "camera.jpg", quality=80, exif=camera())


def camera() -> Image.Exif:
    """Exif data by the tags of CIPA DC-008."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "FUJIFILM", "X-T5"
    taken = {0x9003: "2026:07:09 18:23:45", 0x829A: IFDRational(1, 250), 0x829D: IFDRational(28, 10), 0x8827: 400}
    exif.get_ifd(0x8769).update({**taken, 0x920A: IFDRational(23)})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 29.4), 3: "E", 4: (16.0, 22.0, 26.4)})
    return exif


main()
