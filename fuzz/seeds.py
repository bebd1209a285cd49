"""Writes seeds for fuzzing: a small file of every kind that the decoders support.

Usage: seeds.py DIRECTORY (with Pillow and pyvips, as in the benchmark's environment). It makes
DIRECTORY/engine, DIRECTORY/jpeg, DIRECTORY/vp8 and DIRECTORY/vp8l."""

import io
import itertools
import pathlib
import sys

import numpy as np
import pyvips
from PIL import Image, ImageCms

random = np.random.default_rng(3)
target = pathlib.Path(sys.argv[1])
# The size of every WebP image with alpha.
SIDES = (24, 20)
for name in ("engine", "jpeg", "vp8", "vp8l"):
    (target / name).mkdir(parents=True, exist_ok=True)


def picture(width, height, mode="RGB"):
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x * y) % 256]
    data = np.stack(planes, axis=2) + random.integers(-20, 20, (height, width, 3))
    image = Image.fromarray(np.clip(data, 0, 255).astype(np.uint8))
    if mode == "RGBA":
        image.putalpha(Image.fromarray(((x + y) * 255 // (width + height)).astype(np.uint8)))
        return image
    if mode == "LA":
        image.putalpha(Image.fromarray(((x + y) * 255 // (width + height)).astype(np.uint8)))
        return image.convert("LA")
    return image.convert(mode)


def keep(name, data):
    (target / "engine" / name).write_bytes(data)
    if data.startswith(b"\xff\xd8"):
        for choice in (0, 9, 18, 27, 63):
            (target / "jpeg" / f"{name}-{choice}").write_bytes(bytes([choice]) + data)
    if data.startswith(b"RIFF"):
        for chunk, payload in chunks(data[12:]):
            if chunk == b"VP8 ":
                (target / "vp8" / name).write_bytes(payload)
            elif chunk == b"VP8L":
                (target / "vp8l" / name).write_bytes(b"\0" + payload)
            elif chunk == b"ALPH":
                (target / "vp8l" / name).write_bytes(bytes([1, SIDES[0] - 1, SIDES[1] - 1]) + payload)


def chunks(body):
    while len(body) >= 8:
        size = int.from_bytes(body[4:8], "little")
        yield body[:4], body[8 : 8 + size]
        body = body[8 + size + size % 2 :]


def pillow(name, image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    keep(name, out.getvalue())


profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
exif = Image.Exif()
exif[0x0112] = 6
for index, (size, sampling, progressive) in enumerate(
    itertools.product([(1, 1), (17, 9), (40, 33)], [0, 1, 2], [False, True])
):
    options = {"quality": 30 + index * 3, "subsampling": sampling, "progressive": progressive}
    pillow(f"jpeg-{index}", picture(*size), "jpeg", **options)
pillow("jpeg-grey", picture(30, 20, "L"), "jpeg")
pillow("jpeg-grey-progressive", picture(30, 20, "L"), "jpeg", progressive=True)
pillow("jpeg-cmyk", picture(30, 20, "CMYK"), "jpeg")
pillow("jpeg-restarts", picture(60, 40), "jpeg", restart_marker_blocks=2)
pillow("jpeg-restarts-progressive", picture(60, 40), "jpeg", restart_marker_blocks=3, progressive=True)
pillow("jpeg-meta", picture(20, 30), "jpeg", icc_profile=profile, exif=exif)
for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
    image = (
        picture(23, 19, mode)
        if mode != "I;16"
        else Image.fromarray(random.integers(0, 65535, (19, 23)).astype(np.uint16))
    )
    pillow(f"png-{mode.replace(';', '')}", image, "png")
pillow("png-meta", picture(20, 30), "png", icc_profile=profile, exif=exif)
pillow("png-palette-alpha", picture(20, 30, "P"), "png", transparency=3)
for mode, _bands in (("RGB", 3), ("RGBA", 4)):
    vips = pyvips.Image.new_from_array(np.asarray(picture(21, 18, mode)))
    keep(f"png-interlaced-{mode}", vips.pngsave_buffer(interlace=True))
    deep = vips.cast("ushort").linear(257, 0).cast("ushort").copy(interpretation="rgb16")
    keep(f"png-16-{mode}", deep.pngsave_buffer())
for mode in ("RGB", "RGBA"):
    pillow(f"webp-{mode}", picture(*SIDES, mode), "webp")
    for method in range(7):
        options = {"lossless": True, "method": method, "quality": method * 16}
        pillow(f"webp-lossless-{mode}-{method}", picture(*SIDES, mode), "webp", **options)
        pillow(f"webp-larger-{mode}-{method}", picture(200, 150, mode), "webp", **options)
for colours in (1, 2, 4, 16, 200):
    few = picture(60, 50).quantize(colours).convert("RGB")
    pillow(f"webp-{colours}-colours", few, "webp", lossless=True, method=colours % 7)
for quality in (10, 60, 100):
    pillow(f"webp-alpha-{quality}", picture(*SIDES, "RGBA"), "webp", alpha_quality=quality)
pillow("webp-meta", picture(24, 20), "webp", icc_profile=profile, exif=exif)
pillow(
    "webp-animated",
    picture(24, 20),
    "webp",
    save_all=True,
    append_images=[picture(24, 20), picture(24, 20)],
)
pillow("gif", picture(22, 17, "P"), "gif")
pillow("gif-transparent", picture(22, 17, "P"), "gif", transparency=5, interlace=1)
pillow(
    "gif-animated",
    picture(22, 17, "P"),
    "gif",
    save_all=True,
    append_images=[picture(22, 17, "P")],
)
for index, (size, quality) in enumerate(itertools.product([(1, 1), (17, 9), (40, 33), (70, 50)], [0, 30, 75, 100])):
    pillow(f"webp-{index}", picture(*size), "webp", quality=quality, method=index % 7)
# Settings that Pillow does not offer.
for index in range(8):
    image = pyvips.Image.new_from_array(np.asarray(picture(60 + index, 50)))
    keep(f"webp-vips-{index}", image.webpsave_buffer(Q=10 + 10 * index, effort=index % 7, preset=index % 6))
# Random bits decode.
for index in range(16):
    first = random.integers(0, 255, 300).astype(np.uint8).tobytes()
    tag = (len(first) << 5 | 1 << 4).to_bytes(3, "little")
    start = tag + bytes([0x9D, 1, 0x2A, 20 + index, 0, 40 - index, 0])
    rest = random.integers(0, 255, 8000).astype(np.uint8).tobytes()
    (target / "vp8" / f"random-{index}").write_bytes(start + first + (900).to_bytes(3, "little") * 7 + rest)
