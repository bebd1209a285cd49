"""Peers and engine interleaved in one run: CPU and wall time, peak memory, quality, output size."""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import corpus
import numpy as np
import report
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
HEIGHTS = (400, 200)
Image.MAX_IMAGE_PIXELS = None


class Worker:
    """A process that does one job a line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # The CPU clock of another process, all its threads, ended ones too: clock_getcpuclockid(3).
        self.clock = (~self.process.pid << 3) | 2

    def run(self, path, form, directory="-", mode="encode"):
        """Returns (CPU seconds, wall seconds, output bytes)."""
        cpu, wall = time.clock_gettime(self.clock), time.perf_counter()
        self.process.stdin.write(f"{path}\t{form}\t{directory}\t{mode}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        wall = time.perf_counter() - wall
        cpu = time.clock_gettime(self.clock) - cpu
        if not answer:
            raise SystemExit(f"{self.process.args} failed on {path}")
        return cpu, wall, [int(word) for word in answer.split()]

    def peak(self):
        """Peak resident memory so far, in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def commands(work):
    python = sys.executable
    built = os.environ.get("CARGO_TARGET_DIR", "target")
    node = work / "node" / "peer_sharp.mjs"
    tools = {
        "tintype": [f"{built}/release/examples/bench_worker"],
        "sharp": ["node", str(node)],
        "sharp-1": ["node", str(node), "1"],
        "libvips": [python, str(HERE / "peer_vips.py")],
        "pillow": [python, str(HERE / "peer_pillow.py")],
    }
    # The system's libvips, older, where run.sh could install it.
    debian = work / "venv-debian" / "bin" / "python"
    if debian.exists():
        tools["libvips-debian"] = [str(debian), str(HERE / "peer_vips.py")]
    return tools


def pixels(image):
    """Samples as floats; colour premultiplied where there is alpha, as only that can be seen."""
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA" if "A" in image.mode else "RGB")
    data = np.asarray(image, np.float32)
    if data.shape[2] == 4:
        alpha = data[:, :, 3:] / 255
        data = np.concatenate([data[:, :, :3] * alpha, data[:, :, 3:]], axis=2)
    return data


def open_full(path):
    image = Image.open(path)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return ImageOps.exif_transpose(image)


def reference(path):
    """The whole image decoded by an independent decoder, then one Lanczos step in floating point
    to each size."""
    data = pixels(open_full(path))
    results = []
    for height in HEIGHTS:
        width = (data.shape[1] * height * 2 + data.shape[0]) // (2 * data.shape[0])
        if width > 4 * height:
            width = 4 * height
            height = (data.shape[0] * width * 2 + data.shape[1]) // (2 * data.shape[1])
        channels = [
            np.asarray(Image.fromarray(data[:, :, channel]).resize((width, height), Image.Resampling.LANCZOS))
            for channel in range(data.shape[2])
        ]
        results.append(np.clip(np.stack(channels, axis=2), 0, 255))
    return results


def ycbcr(data):
    """Converts RGB to the input of a JPEG encoder (ITU-T T.871, section 7)."""
    matrix = np.array(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]],
        np.float32,
    )
    return data @ matrix.T + np.array([0, 128, 128], np.float32)


def psnr(ours, wanted, form):
    """In dB over all samples: of JPEG in YCbCr in whole levels, as its encoder takes them, so that
    no colour space is an advantage; otherwise RGB, premultiplied where there is alpha."""
    if ours.shape[:2] != wanted.shape[:2]:
        return math.nan
    channels = min(ours.shape[2], wanted.shape[2])
    ours, wanted = ours[:, :, :channels], wanted[:, :, :channels]
    if form == "jpeg":
        ours, wanted = np.round(ycbcr(ours[:, :, :3])), ycbcr(wanted[:, :, :3])
    error = np.mean((ours - wanted) ** 2, dtype=np.float64)
    return 99.0 if error == 0 else 10 * math.log10(255**2 / error)


def quality(tools, path, form, work):
    wanted_file = work / "references" / f"{path.stem}.npz"
    if not wanted_file.exists():
        wanted_file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(wanted_file, *reference(path))
    with np.load(wanted_file) as stored:
        wanted = [stored[f"arr_{index}"] for index in range(len(HEIGHTS))]
    found = {}
    for tool, worker in tools.items():
        directory = work / "out" / tool
        directory.mkdir(parents=True, exist_ok=True)
        worker.run(path, form, directory, "pixels")
        found[tool] = [
            psnr(pixels(Image.open(directory / str(index))), wanted[index], form) for index in range(len(HEIGHTS))
        ]
    return found


def measure(args, files):
    listed = commands(args.work)
    if args.tools:
        listed = {tool: listed[tool] for tool in args.tools.split(",")}
    rows = []
    tools = {tool: Worker(command) for tool, command in listed.items()}
    for name, path, form in files:
        row = {"name": name, "bytes": path.stat().st_size, "tools": {}}
        psnrs = quality(tools, path, form, args.work)
        samples = {tool: [] for tool in tools}
        for worker in tools.values():
            worker.run(path, form)
        # The bare entropy decoder of the format, in its turn as if it were another program.
        bare = form in ("jpeg", "png") and "progressive" not in name
        floors = []
        for turn in range(args.rounds):
            order = list(tools)
            for tool in order[turn % len(order) :] + order[: turn % len(order)]:
                samples[tool].append(tools[tool].run(path, form))
            if bare:
                floors.append(tools["tintype"].run(path, form, mode="entropy")[0])
        if floors:
            row["floor"] = statistics.median(floors)
        for tool, command in listed.items():
            alone = Worker(command)
            alone.run(path, form)
            memory = alone.peak()
            alone.stop()
            row["tools"][tool] = {
                "cpu": statistics.median(sample[0] for sample in samples[tool]),
                "wall": statistics.median(sample[1] for sample in samples[tool]),
                "rss": memory,
                "psnr": psnrs[tool],
                "bytes": samples[tool][0][2],
                "cpu_ratio": statistics.median(
                    ours[0] / theirs[0] for ours, theirs in zip(samples["tintype"], samples[tool], strict=True)
                ),
                "wall_ratio": statistics.median(
                    ours[1] / theirs[1] for ours, theirs in zip(samples["tintype"], samples[tool], strict=True)
                ),
            }
        rows.append(row)
        print(report.line(row), flush=True)
    for worker in tools.values():
        worker.stop()
    return rows


def measure_huge(args):
    """[(name, CPU seconds, peak bytes)] of one job on 100 megapixels in a fresh process."""
    found = []
    for name, path, form in corpus.make_huge(args.work / "huge"):
        worker = Worker(commands(args.work)["tintype"])
        cpu, _, _ = worker.run(path, form)
        found.append((name, cpu, worker.peak()))
        worker.stop()
        print(name, f"{cpu * 1e3:.0f} ms, {found[-1][2] / 1e6:.0f} MB", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="directory for everything made")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="comma-separated names of files: run only these")
    parser.add_argument("--tools", default="", help="comma-separated, tintype among them")
    parser.add_argument("--no-report", action="store_true", help="leave the docs alone")
    args = parser.parse_args()
    os.environ["PYTHONUNBUFFERED"] = "1"
    print("making the corpus (a few minutes the first time)", flush=True)
    only = args.only.split(",") if args.only else []
    rows = measure(args, corpus.make(args.work / "corpus", lambda name: not only or name in only))
    print(report.floors(rows))
    (args.work / "results.json").write_text(json.dumps(rows, indent=1))
    if not args.no_report and not args.only and not args.tools:
        huge = measure_huge(args)
        (args.work / "huge.json").write_text(json.dumps(huge))
        report.write(rows, huge, pathlib.Path("docs"))


if __name__ == "__main__":
    main()
