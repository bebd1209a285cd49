"""The pictures of the benchmark, generated from a fixed seed; none is a photograph."""

import numpy as np
import pyvips
from PIL import Image, ImageDraw, ImageFont

MEGAPIXELS = {
    2: (1632, 1224),
    4: (2309, 1732),
    12: (4000, 3000),
    32: (16_000, 2000),
    48: (8000, 6000),
    50: (8160, 6120),
}
SCREEN = (2560, 1600)
# As a camera that is held upright writes it: to be turned by a quarter, clockwise.
PORTRAIT = Image.Exif()
PORTRAIT[0x112] = 6


def photograph(width, height, seed=1):
    """Light and texture of all scales (amplitude falls with frequency), hard edges, and the noise
    of a sensor, stronger in the shadows."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    cells = 3
    while cells * 2 < height:
        shape = (cells, cells * width // height + 1)
        amplitude = 190 / cells**0.85
        shared = random.standard_normal(shape).astype(np.float32)
        for channel in range(3):
            own = random.standard_normal(shape).astype(np.float32)
            octave = Image.fromarray(shared * amplitude + own * amplitude * 0.25)
            picture[:, :, channel] += octave.resize((width, height), Image.Resampling.BICUBIC)
        cells *= 2
    picture += 120
    for _ in range(60):
        size = int(random.integers(height // 60, height // 6))
        x, y = (int(random.integers(0, side)) for side in (width, height))
        block = picture[y : y + size, x : x + size]
        if random.random() < 0.5:
            block += random.integers(-50, 50, 3)
        else:
            slope = np.arange(block.shape[1]) > np.arange(block.shape[0])[:, None]
            block += slope[:, :, None] * random.integers(-50, 50, 3)
    for rows in range(0, height, 500):
        part = picture[rows : rows + 500]
        spread = 2.2 + 2.0 * (1 - np.clip(part.mean(axis=2, keepdims=True) / 255, 0, 1))
        grain = random.standard_normal((*part.shape[:2], 1)).astype(np.float32)
        colour = random.standard_normal(part.shape).astype(np.float32)
        part += spread * (grain * 0.9 + colour * 0.5)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def interface(width, height):
    """Flat areas, thin lines and rows of glyph-like marks."""
    random = np.random.default_rng(2)
    picture = np.full((height, width, 3), 246, np.uint8)
    picture[: height // 14] = (38, 50, 74)
    picture[:, : width // 6] = (229, 233, 240)
    for y in range(height // 10, height, height // 24):
        picture[y : y + 2, width // 6 :] = (200, 204, 212)
        x = width // 5
        while x < width * 9 // 10:
            glyph = random.random((14, 9)) < 0.45
            picture[y + 10 : y + 24, x : x + 9][glyph[: max(0, height - y - 10)]] = (30, 30, 34)
            x += 12 if random.random() < 0.85 else 24
    return Image.fromarray(picture)


def screenshot(width, height):
    """A desktop: smooth text of three sizes in two windows, flat areas, a gradient, and two photographs."""
    random = np.random.default_rng(3)
    slope = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    ground = (1 - slope) * (58, 84, 122) + slope * (24, 32, 52)
    picture = Image.fromarray(np.broadcast_to(ground, (height, width, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, 48), (32, 34, 40))

    def write(left, top, right, bottom, size, ink):
        font = ImageFont.load_default(size)
        for y in range(top, bottom - size, size * 3 // 2):
            x = left
            while x < right and random.random() > 0.02:
                word = "".join(random.choice(list("etaoinshrdlucmfwypvbgk"), random.integers(1, 11)))
                end = x + draw.textlength(word + " ", font)
                if end > right:
                    break
                draw.text((x, y), word, ink, font)
                x = end

    write(24, 10, 600, 44, 20, (220, 222, 228))
    for left, top, right, bottom, paper, ink in [
        (90, 110, 1330, 1530, (250, 250, 250), (36, 38, 42)),
        (1380, 180, 2490, 1480, (30, 31, 36), (208, 210, 216)),
    ]:
        draw.rounded_rectangle((left, top, right, bottom), 14, paper)
        draw.rectangle((left, top + 14, right, top + 56), tuple(int(level * 0.9) for level in paper))
        write(left + 24, top + 18, left + 500, top + 52, 22, ink)
        write(left + 40, top + 90, right - 40, bottom - 470, 16, ink)
        write(left + 420, bottom - 430, right - 40, bottom - 40, 26, ink)
        picture.paste(photograph(360, 270, seed=left), (left + 40, bottom - 430))
    return picture


def zone_plate(width, height):
    """Rings whose frequency grows from nothing in the middle to the limit at the corners."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius2 = (x - width / 2) ** 2 + (y - height / 2) ** 2
    phase = np.pi * radius2 / np.hypot(width, height)
    grey = (127.5 + 127.5 * np.cos(phase)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def with_alpha(picture):
    width, height = picture.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot((x - width / 2) / width, (y - height / 2) / height) * 2
    soft = np.clip((1.1 - distance) * 4, 0, 1)
    holes = (np.sin(x / 37) * np.sin(y / 41)) > -0.85
    picture = picture.copy()
    picture.putalpha(Image.fromarray((soft * holes * 255).astype(np.uint8)))
    return picture


def vips_image(picture):
    return pyvips.Image.new_from_array(np.asarray(picture))


def make(directory, wanted=lambda name: True):
    """Writes the missing files and returns [(name, path, format)]; `name` starts with its group."""
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    pictures = {}

    def picture(kind, size):
        if (kind, size) not in pictures:
            maker = {"photo": photograph, "ui": interface, "zone": zone_plate}[kind]
            pictures.clear()
            if size == 32:
                # The texture is as fine as that of a photograph as tall.
                parts = [np.asarray(photograph(4000, 2000, seed)) for seed in range(4)]
                pictures[kind, size] = Image.fromarray(np.concatenate(parts, axis=1))
            else:
                pictures[kind, size] = maker(*MEGAPIXELS[size])
        return pictures[kind, size]

    def add(name, form, write):
        if not wanted(name):
            return
        path = directory / f"{name}.{form}"
        if not path.exists():
            part = path.with_suffix(".part")
            write(part)
            part.rename(path)
        made.append((name, path, form))

    def jpeg(name, kind, size, **options):
        options = {"quality": 92, "subsampling": 2} | options
        add(name, "jpeg", lambda path: picture(kind, size).save(path, "jpeg", **options))

    jpeg("jpeg-2mp", "photo", 2)
    add("png-4mp", "png", lambda path: picture("photo", 4).save(path, "png"))
    add(
        "png-4mp-alpha",
        "png",
        lambda path: with_alpha(picture("photo", 4)).save(path, "png"),
    )
    add(
        "png-4mp-palette",
        "png",
        lambda path: picture("photo", 4).quantize(256).save(path, "png"),
    )
    add(
        "png-4mp-16bit",
        "png",
        lambda path: (
            vips_image(picture("photo", 4))
            .cast("ushort")
            .linear(257, 0)
            .cast("ushort")
            .copy(interpretation="rgb16")
            .pngsave(str(path), filter="all")
        ),
    )
    add(
        "png-4mp-interlaced",
        "png",
        lambda path: vips_image(picture("photo", 4)).pngsave(str(path), interlace=True, filter="all"),
    )
    jpeg("jpeg-12mp", "photo", 12)
    jpeg("jpeg-12mp-444", "photo", 12, subsampling=0)
    jpeg("jpeg-12mp-restarts", "photo", 12, restart_marker_rows=1)
    jpeg("jpeg-12mp-portrait", "photo", 12, exif=PORTRAIT)
    jpeg("jpeg-12mp-progressive", "photo", 12, progressive=True)
    jpeg("jpeg-12mp-progressive-444", "photo", 12, progressive=True, subsampling=0)
    add("png-12mp", "png", lambda path: picture("photo", 12).save(path, "png"))
    add(
        "webp-12mp",
        "webp",
        lambda path: picture("photo", 12).save(path, "webp", quality=85, method=2),
    )
    add(
        "webp-12mp-lossless",
        "webp",
        lambda path: picture("photo", 12).save(path, "webp", lossless=True, quality=20, method=1),
    )
    jpeg("jpeg-32mp-panorama", "photo", 32)
    jpeg("jpeg-48mp", "photo", 48)
    jpeg("jpeg-48mp-progressive", "photo", 48, progressive=True)
    # As phones write it.
    jpeg("jpeg-50mp-phone", "photo", 50, quality=95, optimize=True, restart_marker_rows=1, exif=PORTRAIT)
    add("png-4mp-screenshot", "png", lambda path: screenshot(*SCREEN).save(path, "png"))
    jpeg("jpeg-12mp-ui", "ui", 12)
    add("png-12mp-ui", "png", lambda path: picture("ui", 12).save(path, "png"))
    jpeg("jpeg-2mp-zone", "zone", 2)
    jpeg("jpeg-12mp-zone", "zone", 12)
    jpeg("jpeg-12mp-progressive-zone", "zone", 12, progressive=True)
    add("png-12mp-zone", "png", lambda path: picture("zone", 12).save(path, "png"))
    add(
        "webp-12mp-zone",
        "webp",
        lambda path: picture("zone", 12).save(path, "webp", quality=85, method=2),
    )
    jpeg("jpeg-48mp-zone", "zone", 48)
    add(
        "gif-animated",
        "gif",
        lambda path: (frames := [photograph(960, 720, seed).quantize(256) for seed in (1, 2, 3)])[0].save(
            path, "gif", save_all=True, append_images=frames[1:], duration=100
        ),
    )
    return made


def make_huge(directory):
    """100 megapixels of every format, for the memory that one job takes."""
    directory.mkdir(parents=True, exist_ok=True)
    width, height = 12_247, 8_165
    made = []
    kept = {}

    def picture():
        if not kept:
            tile = np.asarray(photograph(*MEGAPIXELS[12]))
            kept[0] = np.tile(tile, (3, 4, 1))[:height, :width]
        return kept[0]

    def add(name, form, write):
        path = directory / f"{name}.{form}"
        if not path.exists():
            part = path.with_suffix(".part")
            write(part)
            part.rename(path)
        made.append((name, path, form))

    def pillow(path, form, **options):
        Image.fromarray(picture()).save(path, form, **options)

    add("jpeg", "jpeg", lambda path: pillow(path, "jpeg", quality=92))
    add("jpeg progressive", "jpeg", lambda path: pillow(path, "jpeg", quality=92, progressive=True))
    add("png", "png", lambda path: vips_image(picture()).pngsave(str(path), compression=1))
    add(
        "png interlaced",
        "png",
        lambda path: vips_image(picture()).pngsave(str(path), compression=1, interlace=True),
    )
    add("webp", "webp", lambda path: pillow(path, "webp", quality=85, method=0))
    add(
        "webp lossless",
        "webp",
        lambda path: pillow(path, "webp", lossless=True, quality=0, method=0),
    )
    add(
        "gif",
        "gif",
        lambda path: Image.fromarray(picture()[:, :, 1] & 0xF8, "L").save(path, "gif"),
    )
    return made
