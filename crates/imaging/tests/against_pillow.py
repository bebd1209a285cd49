"""Compares the engine with Pillow, and through it with LittleCMS, libjpeg-turbo, libpng and libwebp, on unusual
images: all eight orientations, sides of one pixel, and Adobe RGB.

Usage: against_pillow.py EXAMPLE, the built `bench_worker`. Pillow writes each file, reads it,
applies orientation and profile, and resizes it in one Lanczos step; the engine's pixels are compared with that, in levels."""

import io
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageCms, ImageOps

HEIGHTS = (400, 200)
# Options of each kind, and the largest difference of a sample in levels: at the original size, and resized.
# Unlike Pillow, the engine resizes JPEG and lossy WebP before the color conversion.
KINDS = {
    "jpeg": ({"format": "jpeg", "quality": 97, "subsampling": 0}, 3, 4),
    "jpeg progressive": ({"format": "jpeg", "quality": 97, "subsampling": 0, "progressive": True}, 3, 4),
    "png": ({"format": "png"}, 0, 2),
    "tiff": ({"format": "tiff", "compression": "tiff_lzw"}, 0, 2),
    "webp": ({"format": "webp", "quality": 97}, 8, 6),
    "webp lossless": ({"format": "webp", "lossless": True}, 0, 2),
}
SIDES = [(1, 1), (1, 2), (2, 1), (1, 8), (9, 1), (1, 17), (33, 1), (1, 399), (1, 1000), (1000, 1), (1, 3001)]


class Engine:
    def __init__(self, command, directory):
        self.process = subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.directory = directory

    def pictures(self, data, form):
        """The thumbnails of a file before encoding, as RGB arrays."""
        path = self.directory / "source"
        path.write_bytes(data)
        self.process.stdin.write(f"{path}\t{form}\t{self.directory}\tpixels\n")
        self.process.stdin.flush()
        count = len(self.process.stdout.readline().split())
        assert count, "refused"
        return [array(Image.open(self.directory / str(index))) for index in range(count)]

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def array(image):
    return np.asarray(image.convert("RGB"), np.int16)


def picture(width, height):
    """Returns a smooth picture without symmetry, with all colours inside of every gamut."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = x / max(1, width - 1), y / max(1, height - 1)
    planes = [60 + 120 * x, 70 + 100 * y * (1 - x / 2), 90 + 70 * (1 - x) * y + 30 * np.sin(9 * x + 5 * y)]
    return Image.fromarray(np.stack(planes, axis=2).round().astype(np.uint8))


def adobe_rgb():
    """A profile of Adobe RGB (1998) by its specification: gamma 563/256, primaries adapted to D50."""

    def number(value):
        return struct.pack(">i", round(value * 65536))

    def xyz(*values):
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    text = b"Adobe RGB made for a test\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, 563)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(0.9505, 1, 1.0891),
        b"rXYZ": xyz(0.60974, 0.31111, 0.01947),
        b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": xyz(0.14919, 0.06322, 0.74457),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4sI4s4s4s6H4s28x12s48x",
        start + len(body),
        b"none",
        0x02100000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        *(1998, 11, 1, 0, 0, 0),
        b"acsp",
        number(0.9642) + number(1) + number(0.8249),
    )
    return header + table + body


def small(image, height):
    """Returns the size of a thumbnail by the engine's rule: the width is rounded, halves up, and at least 1."""
    if height >= image.height:
        return image
    width = max(1, (2 * image.width * height + image.height) // (2 * image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS)


class Comparison:
    def __init__(self, engine):
        self.engine = engine
        self.files = 0
        self.largest = {}

    def check(self, what, kind, image, shown, more=0, **options):
        """`shown` converts an opened file to the picture that viewers show."""
        written, at_own_size, made_small = KINDS[kind]
        data = io.BytesIO()
        image.save(data, **written, **options)
        with Image.open(io.BytesIO(data.getvalue())) as opened:
            seen = shown(opened).convert("RGB")
        wanted = [
            small(seen, height) for height in sorted({min(height, seen.height) for height in HEIGHTS}, reverse=True)
        ]
        found = self.engine.pictures(data.getvalue(), written["format"])
        assert [picture.shape[1::-1] for picture in found] == [picture.size for picture in wanted], f"{what}: sizes"
        for ours, theirs in zip(found, wanted, strict=True):
            most = (at_own_size if theirs.size == seen.size else made_small) + more
            difference = int(np.abs(ours - array(theirs)).max())
            assert difference <= most, f"{what}, {kind}, {image.size}: {difference} levels off"
            self.largest[kind] = max(self.largest.get(kind, 0), difference)
        self.files += 1


def main():
    profile = adobe_rgb()
    srgb = ImageCms.createProfile("sRGB")

    def converted(opened):
        space = ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"]))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(opened, space, srgb, renderingIntent=intent)

    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(sys.argv[1], pathlib.Path(directory))
        comparison = Comparison(engine)
        for kind in KINDS:
            for orientation in range(1, 9):
                exif = Image.Exif()
                exif[0x0112] = orientation
                for size in ((60, 44), (310, 230)):
                    what = f"orientation {orientation}"
                    comparison.check(what, kind, picture(*size), ImageOps.exif_transpose, exif=exif)
            for size in SIDES:
                comparison.check("a narrow picture", kind, picture(*size), lambda opened: opened)
            # Two colour engines round differently. All colours are inside of sRGB's gamut.
            for size in ((60, 44), (310, 230)):
                pale = Image.blend(picture(*size), picture(*size).convert("L").convert("RGB"), 0.7)
                comparison.check("Adobe RGB", kind, pale, converted, more=3, icc_profile=profile)
        engine.stop()
    found = ", ".join(f"{kind} {level}" for kind, level in comparison.largest.items())
    print(f"{comparison.files} files agree with Pillow; largest differences in levels: {found}")


if __name__ == "__main__":
    main()
