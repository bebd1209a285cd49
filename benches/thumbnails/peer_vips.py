"""libvips as its own thumbnail command uses it; the protocol is that of peer_sharp.mjs."""

import pathlib
import sys

import pyvips

pyvips.cache_set_max(0)
# The option's name changed in 8.15.
BARE = {"keep": "none"} if pyvips.at_least_libvips(8, 15) else {"strip": True}
ENCODERS = {
    "jpeg": lambda image: image.jpegsave_buffer(Q=80, **BARE),
    "png": lambda image: image.pngsave_buffer(**BARE),
    "webp": lambda image: image.webpsave_buffer(Q=80, **BARE),
    "gif": lambda image: image.gifsave_buffer(**BARE),
}


def make(path, kind, directory, mode):
    large = pyvips.Image.thumbnail(path, 1600, height=400).copy_memory()
    small = large.thumbnail_image(800, height=200)
    encode = ENCODERS["png" if mode == "pixels" else kind]
    results = [encode(large), encode(small)]
    if directory != "-":
        for index, result in enumerate(results):
            pathlib.Path(directory, str(index)).write_bytes(result)
    return results


for line in sys.stdin:
    print(*map(len, make(*line.rstrip("\n").split("\t"))), flush=True)
