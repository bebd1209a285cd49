"""Compares the instructions that the engine runs as arm64 and as x86-64, under qemu-user: a kernel that compilers vectorize
for one of them only takes several times as many for the other.

The arguments are the engine's `bench_worker` for arm64 and for x86-64.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).parent.parent
# Files of today take 0.94 to 1.19 times as many.
MOST = 1.25
# For the code of AVX2, which functions on x86-64 run.
PROGRAMS = [["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"], ["qemu-x86_64", "-cpu", "max"]]


def pictures(folder: Path) -> dict[str, str]:
    """Files, and the format of each."""
    random.seed(1)
    size = (1632, 1224)

    def channel(turned: Image.Transpose) -> Image.Image:
        coarse = Image.effect_noise((25, 19), 120).transpose(turned).resize(size, Image.Resampling.BICUBIC)
        return Image.blend(coarse, Image.effect_noise(size, 12), 0.25)

    turns = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180)
    photo = Image.merge("RGB", [channel(turn) for turn in turns])
    transparent = photo.copy()
    transparent.putalpha(channel(turns[0]))
    screen = Image.new("RGB", size, (246, 246, 246))
    draw = ImageDraw.Draw(screen)
    for y in range(20, size[1], 22):
        for x in range(40, size[0] - 40, 8):
            draw.rectangle((x, y, x + random.randint(2, 6), y + 12), outline=(60, 60, 60))
    turned = Image.Exif()
    turned[0x112] = 6
    photo.save(folder / "photo.jpg", quality=85)
    photo.save(folder / "turned.jpg", quality=85, exif=turned)
    photo.save(folder / "progressive.jpg", quality=85, progressive=True)
    photo.save(folder / "photo.png")
    transparent.save(folder / "transparent.png")
    screen.save(folder / "screen.png")
    photo.save(folder / "lossy.webp", quality=80)
    photo.save(folder / "lossless.webp", lossless=True)
    formats = {".jpg": "jpeg", ".png": "png", ".webp": "webp"}
    return {file.name: formats[file.suffix] for file in sorted(folder.iterdir())}


def plugin(folder: Path) -> Path:
    version = subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True, check=True).stdout
    # QEMU 9 dropped the first version of its interface.
    api = 1 if int(re.search(r"version (\d+)", version)[1]) < 9 else 2
    library = folder / "instructions.so"
    source = ROOT / "tests" / "instructions.c"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", f"-DAPI={api}", "-o", library, source], check=True)
    return library


def instructions(emulator: list[str], library: Path, program: str, file: Path, kind: str) -> int:
    count = library.with_suffix(".count")
    subprocess.run(
        [*emulator, "-plugin", library, program],
        input=f"{file}\t{kind}\t-\tencode\n",
        text=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"COUNT": str(count)},
        check=True,
    )
    return int(count.read_text())


def main() -> None:
    too_many = []
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as tools:
        library = plugin(Path(tools))
        print(f"{'millions of instructions':24} {'arm64':>8} {'x86-64':>8}")
        for file, kind in pictures(Path(name)).items():
            arm, x86 = (
                instructions(emulator, library, program, Path(name) / file, kind)
                for emulator, program in zip(PROGRAMS, sys.argv[1:3], strict=True)
            )
            print(f"{file:24} {arm / 1e6:8.0f} {x86 / 1e6:8.0f} {arm / x86:6.2f}", flush=True)
            if arm > MOST * x86:
                too_many.append(file)
    if too_many:
        sys.exit(f"More than {MOST} times the instructions of x86-64: {', '.join(too_many)}.")


if __name__ == "__main__":
    main()
