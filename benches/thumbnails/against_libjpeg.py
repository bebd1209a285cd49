"""Compares the engine's pixels with libjpeg-turbo's, through Pillow, on hundreds of small JPEGs:
sizes 1 to 40, qualities 1 to 100, sequential and progressive, with and without restart markers.

Small images are not resized, so what comes out is what was decoded. Grey must agree to one level
(two transforms rounded apart), 4:4:4 to three (two colour conversions more). Run it in the
benchmark's environment, with the path of the built bench_worker."""

import pathlib
import sys
import tempfile

import numpy as np
from PIL import Image

import bench

random = np.random.default_rng(5)
worker = bench.Worker([sys.argv[1]])
count, largest = 0, {"L": 0, "RGB": 0}
with tempfile.TemporaryDirectory() as directory:
    directory = pathlib.Path(directory)
    for index in range(600):
        width, height = 1 + index % 40, int(random.integers(1, 41))
        mode = ("L", "RGB")[index % 2]
        shape = (height, width) if mode == "L" else (height, width, 3)
        rough = random.integers(0, 256, shape).astype(np.uint8)
        image = Image.fromarray(rough)
        if index % 3:
            image = image.resize((width, height), Image.Resampling.BOX, (0, 0, width / 4, height / 4))
        options = {"quality": 1 + index % 100, "progressive": index % 4 > 1, "subsampling": 0}
        if index % 5 == 0:
            options["restart_marker_blocks"] = 1 + index % 7
        path = directory / "picture.jpeg"
        image.save(path, **options)
        worker.run(path, "jpeg", directory, "pixels")
        ours = np.asarray(Image.open(directory / "0").convert(mode), np.int16)
        theirs = np.asarray(Image.open(path), np.int16)
        difference = int(np.abs(ours - theirs).max())
        largest[mode] = max(largest[mode], difference)
        allowed = 1 if mode == "L" else 3
        assert difference <= allowed, f"{options} {width}x{height} {mode}: {difference}"
        count += 1
worker.stop()
print(f"{count} files agree; largest differences {largest}")
