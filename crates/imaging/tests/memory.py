"""Checks the engine's peak memory: an image of 100 megapixels of each kind, each in its own process, with
thumbnails of 400 and 200 pixels.

Usage: memory.py EXAMPLE, the built `bench_worker`."""

import functools
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 12_247, 8_165
# In bytes. Sequential JPEG, PNG, WebP, TIFF and BMP are reduced while reading; interlaced PNG and progressive JPEG have several passes.
LOW, HIGH = 64 << 20, 512 << 20
# First column and row, and distances, of the passes of an interlaced PNG (PNG specification, section 8.2).
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@functools.cache
def noise():
    tile = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    tile = np.asarray(Image.fromarray(tile).resize((512, 512), Image.Resampling.BICUBIC))
    return Image.fromarray(np.tile(tile, (HEIGHT // 512 + 1, WIDTH // 512 + 1, 1))[:HEIGHT, :WIDTH])


def png(path, interlaced):
    """RGB with a change in every row."""
    packer = zlib.compressobj(1)
    parts = []
    for x, y, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        row = b"\1\x60" + bytes(3 * len(range(x, WIDTH, across)) - 1)
        parts.extend(packer.compress(row) for _ in range(y, HEIGHT, down))
    parts.append(packer.flush())

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, int(interlaced))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"".join(parts)) + chunk(b"IEND", b"")
    path.write_bytes(data)


def peak(command, path, form):
    """Peak resident memory, in bytes, of a process that makes thumbnails of one file."""
    process = subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(f"{path}\t{form}\t-\tencode\n")
    process.stdin.flush()
    assert len(process.stdout.readline().split()) == 2, f"{path.name} was refused"
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    process.stdin.close()
    process.wait()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main():
    kinds = [
        ("jpeg", "JPEG", LOW, lambda path: noise().save(path, "jpeg", quality=85)),
        ("jpeg", "progressive JPEG", LOW, lambda path: noise().save(path, "jpeg", progressive=True)),
        ("png", "PNG", LOW, lambda path: png(path, False)),
        ("png", "interlaced PNG", HIGH, lambda path: png(path, True)),
        ("webp", "WebP", LOW, lambda path: noise().save(path, "webp", quality=30, method=0)),
        ("webp", "lossless WebP", LOW, lambda path: noise().save(path, "webp", lossless=True, quality=0, method=0)),
        ("tiff", "TIFF", LOW, lambda path: noise().save(path, "tiff", compression="jpeg", quality=50)),
        ("bmp", "BMP", LOW, lambda path: Image.new("P", (WIDTH, HEIGHT)).save(path, "bmp")),
        ("gif", "GIF", HIGH, lambda path: Image.new("P", (WIDTH, HEIGHT)).save(path, "gif")),
    ]
    found = []
    with tempfile.TemporaryDirectory() as directory:
        for form, name, most, write in kinds:
            path = pathlib.Path(directory, form)
            write(path)
            taken = peak(sys.argv[1], path, form)
            assert taken <= most, f"100 megapixels of {name} take {taken >> 20} MiB, more than {most >> 20}"
            found.append(f"{name} {taken >> 20}")
    print("100 megapixels take, in MiB at the peak:", ", ".join(found))


if __name__ == "__main__":
    main()
