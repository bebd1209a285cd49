"""Pillow with its draft mode, as Image.thumbnail uses it, with its best filter; the protocol is
that of peer_sharp.mjs."""

import io
import pathlib
import sys

from PIL import Image, ImageOps

OPTIONS = {
    "jpeg": {"quality": 80},
    "png": {},
    "webp": {"quality": 80},
    "gif": {},
}


def make(path, kind, directory, mode):
    large = Image.open(path)
    if large.mode == "P":
        large = large.convert("RGBA" if "transparency" in large.info else "RGB")
    elif large.mode.startswith("I;16"):
        large = large.point(lambda level: level / 257).convert("L")
    turned = large.getexif().get(0x112, 1) > 4
    large.thumbnail((400, 1600) if turned else (1600, 400), Image.Resampling.LANCZOS)
    large = ImageOps.exif_transpose(large)
    small = large.copy()
    small.thumbnail((800, 200), Image.Resampling.LANCZOS)
    results = []
    for image in (large, small):
        out = io.BytesIO()
        if mode == "pixels":
            image.save(out, "png")
        else:
            image.save(out, kind, **OPTIONS[kind])
        results.append(out.getvalue())
    if directory != "-":
        for index, result in enumerate(results):
            pathlib.Path(directory, str(index)).write_bytes(result)
    return results


for line in sys.stdin:
    print(*map(len, make(*line.rstrip("\n").split("\t"))), flush=True)
