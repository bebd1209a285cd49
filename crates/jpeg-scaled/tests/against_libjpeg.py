"""Compares the decoder with libjpeg-turbo, through Pillow, on hundreds of small JPEGs: sizes 1 to 40 both ways, qualities
1 to 100, all samplings that Pillow writes, sequential and progressive, with and without restart markers.

Usage: against_libjpeg.py EXAMPLE, the built `planes`. In levels, sample by sample:

- at 8/8 and 1/8, libjpeg-turbo's samples, to one (two transforms, rounded apart);
- at 2/8 and 4/8, where libjpeg-turbo averages samples instead of using the lowest coefficients: the scaled transform
  of libjpeg-turbo's full decode, computed here, to 1.25 levels (its samples are rounded). Only for images that do not
  reach 0 or 255, where decoders clamp;
- at 2/8 and 4/8 of smooth images, libjpeg-turbo's own scaled decode, to 12 levels."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

FILES = 960
SAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


class Decoder:
    def __init__(self, command):
        self.process = subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def planes(self, path, scale, count):
        """The planes of a file, all at `scale` eighths."""
        self.process.stdin.write(f"{','.join([str(scale)] * count)}\t{path}\n".encode())
        self.process.stdin.flush()
        numbers = [int(word) for word in self.process.stdout.readline().split()]
        assert len(numbers) == 2 * count, f"{path} at {scale}/8 was refused"
        sizes = zip(numbers[::2], numbers[1::2], strict=True)
        return [self.plane(width, height) for width, height in sizes]

    def plane(self, width, height):
        data = self.process.stdout.read(width * height)
        return np.frombuffer(data, np.uint8).reshape(height, width).astype(np.int16)

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def pillow(path, mode, scale):
    """The samples as libjpeg-turbo decodes them at `scale` eighths, by component; None if a side would be shorter than
    a sample, which Pillow does not support."""
    with Image.open(path) as image:
        width, height = image.size
        image.draft(mode, (max(1, width * scale // 8), max(1, height * scale // 8)))
        if image.decoderconfig[0] != 8 // scale:
            return None
        image.load()
        data = np.asarray(image, np.int16)
    return [data] if data.ndim == 2 else list(np.moveaxis(data, 2, 0))


def cosines(size):
    """The forward transform of `size` samples as a matrix, by frequency and sample."""
    places = (2 * np.arange(size) + 1) * np.pi / (2 * size)
    matrix = np.cos(np.arange(size)[:, None] * places) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix


def scaled(plane, size):
    """Whole blocks at `size` eighths by the formula."""
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    blocks = plane[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    forward, backward = cosines(8), cosines(size)
    coefficients = (forward @ blocks @ forward.T)[:, :, :size, :size] * size / 8
    small = backward.T @ coefficients @ backward
    return small.transpose(0, 2, 1, 3).reshape(rows * size, columns * size)


def picture(random, width, height, mode, smooth):
    """Levels from 70 to 185, so that decoders clamp little even at low qualities."""
    channels = 1 if mode == "L" else 3
    cells = (2, 2) if smooth else (height, width)
    data = random.integers(70, 186, (*cells, channels)).astype(np.uint8)
    image = Image.fromarray(data[:, :, 0] if mode == "L" else data)
    return image.resize((width, height), Image.Resampling.BICUBIC) if smooth else image


def check(decoder, path, mode, sampling, smooth, largest):
    def compare(name, ours, theirs, most):
        difference = np.abs(ours - theirs)
        largest[name] = max(largest.get(name, 0), float(difference.max()))
        assert difference.max() <= most, f"{name}: {difference.max():.2f}"

    count = 1 if mode == "L" else 3
    for scale in (8, 1):
        ours = decoder.planes(path, scale, count)
        if theirs := pillow(path, "L", scale):
            compare(f"{scale}/8", ours[0], theirs[0], 1)
    full = decoder.planes(path, 8, count)
    if mode == "RGB" and sampling == "4:4:4":
        for ours, theirs in zip(full, pillow(path, "YCbCr", 8), strict=True):
            compare("colour 8/8", ours, theirs, 1)
    # At half size libjpeg-turbo decodes subsampled components at their full size.
    if mode == "RGB" and sampling == "4:2:0" and (halves := pillow(path, "YCbCr", 4)):
        for ours, theirs in zip(full[1:], halves[1:], strict=True):
            compare("colour 8/8 of 4:2:0", ours, theirs, 1)
    reference = pillow(path, "L", 8)[0]
    uncut = reference.min() > 2 and reference.max() < 253
    for scale in (2, 4):
        ours = decoder.planes(path, scale, count)[0]
        exact = scaled(reference.astype(np.float64), scale)
        if uncut and exact.size:
            compare(f"{scale}/8 by the formula", ours[: exact.shape[0], : exact.shape[1]], exact, 1.25)
        if smooth and (small := pillow(path, "L", scale)):
            compare(f"{scale}/8 of smooth pictures", ours, small[0], 12)


def main():
    random = np.random.default_rng(5)
    decoder = Decoder(sys.argv[1])
    largest = {}
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "picture.jpeg"
        for index in range(FILES):
            width, height = 1 + index % 40, int(random.integers(1, 41))
            mode, smooth = ("L", "RGB", "RGB", "RGB")[index % 4], index % 3 > 0
            sampling = SAMPLINGS[index // 4 % 3]
            options = {
                "quality": 1 + index * 37 % 100,
                "progressive": index % 8 > 3,
                "optimize": index % 5 == 1,
            }
            if mode == "RGB":
                options["subsampling"] = sampling
            if index % 5 == 0:
                options["restart_marker_blocks"] = 1 + index % 7
            picture(random, width, height, mode, smooth and options["quality"] > 50).save(path, **options)
            try:
                check(decoder, path, mode, sampling, smooth and options["quality"] > 50, largest)
            except AssertionError as error:
                raise SystemExit(f"{width} x {height} {mode} {options}: {error}") from None
    decoder.stop()
    found = ", ".join(f"{name} {level:.2f}" for name, level in sorted(largest.items()))
    print(f"{FILES} files agree with libjpeg-turbo; largest differences in levels: {found}")


if __name__ == "__main__":
    main()
