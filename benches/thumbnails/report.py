"""Writes the tables and the plot of a run between the marks of docs/thumbnails.md."""

START, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# Lambda gives 1769 MB one whole processor, and less memory its share (AWS Lambda, "Configure
# memory"). Prices of us-east-1 for arm64 and x86-64, dollars a GB-second and a request.
FULL_CPU_MB = 1769
GB_SECOND = {"arm64": 0.0000133334, "x86-64": 0.0000166667}
REQUEST = 0.20e-6
# Time in which a job waits for storage and table and takes no CPU; an assumption, in seconds.
WAITING = 0.100

# The highest allowed ratios to sharp and libvips: CPU and wall time, then memory.
GOALS = {
    "jpeg-2mp": ((0.60, 0.45), (0.20, 0.25)),
    "jpeg-12mp": ((0.60, 0.45), (0.20, 0.25)),
    "jpeg-48mp": ((0.60, 0.45), (0.20, 0.25)),
    "jpeg-12mp-progressive": ((0.35, 0.35), (0.15, 0.15)),
    "jpeg-48mp-progressive": ((0.30, 0.30), (0.20, 0.20)),
    "png-4mp": ((0.80, 0.50), (0.35, 0.35)),
    "png-12mp": ((0.80, 0.50), (0.35, 0.35)),
    "png-4mp-alpha": ((0.80, 0.50), (0.35, 0.35)),
    "webp-12mp": ((0.85, 0.95), (0.20, 0.25)),
    "gif-animated": ((0.50, 0.80), (0.20, 0.25)),
}

# The highest allowed ratio of CPU time to sharp with one thread.
ALONE = {
    "jpeg-2mp": 0.45,
    "jpeg-12mp": 0.45,
    "jpeg-12mp-portrait": 0.45,
    "jpeg-48mp": 0.45,
    "jpeg-50mp-phone": 0.45,
    "jpeg-12mp-progressive": 0.30,
    "jpeg-48mp-progressive": 0.30,
    "png-4mp": 0.45,
    "png-4mp-alpha": 0.45,
    "png-12mp": 0.45,
    "png-4mp-screenshot": 0.60,
    "webp-12mp": 0.65,
}


def line(row):
    parts = [f"{row['name']:26}"]
    for tool, result in row["tools"].items():
        quality = "/".join(f"{level:.1f}" for level in result["psnr"])
        parts.append(
            f"{tool} {result['cpu'] * 1e3:6.1f} ms {result['wall'] * 1e3:6.1f} wall "
            f"{result['rss'] / 1e6:5.0f} MB {quality} dB x{result['cpu_ratio']:.2f}"
        )
    if "floor" in row:
        parts.append(f"entropy decoder {row['floor'] * 1e3:6.1f} ms")
    return " | ".join(parts)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def figures(rows):
    tools = list(rows[0]["tools"])
    out = []
    for row in rows:
        cells = [row["name"]]
        for tool in tools:
            result = row["tools"][tool]
            cells.append(f"{result['cpu'] * 1e3:.1f} / {result['wall'] * 1e3:.1f} / {result['rss'] / 1e6:.0f}")
        out.append(cells)
    return table(["CPU ms / wall ms / peak MB", *tools], out)


def qualities(rows):
    tools = list(rows[0]["tools"])
    out = []
    for row in rows:
        ours = row["tools"]["tintype"]
        cells = [row["name"]]
        for tool in tools:
            result = row["tools"][tool]
            cells.append("/".join(f"{level:.1f}" for level in result["psnr"]))
        least = all(
            round(mine, 1) >= round(theirs, 1)
            for tool in tools
            for mine, theirs in zip(ours["psnr"], row["tools"][tool]["psnr"], strict=True)
        )
        cells.append("yes" if least else "no")
        cells.append("/".join(f"{size / 1e3:.0f}" for size in ours["bytes"]))
        cells.append("/".join(f"{size / 1e3:.0f}" for size in row["tools"]["sharp"]["bytes"]))
        out.append(cells)
    header = ["PSNR dB, 400/200 px", *tools, "best or equal", "our kB", "sharp kB"]
    return table(header, out)


def ratios(rows):
    peers = [tool for tool in rows[0]["tools"] if tool not in ("tintype", "pillow")]
    out = []
    for row in rows:
        ours = row["tools"]["tintype"]
        goal = GOALS.get(row["name"])
        cells = [row["name"]]
        for peer in peers:
            result = row["tools"][peer]
            found = (result["cpu_ratio"], result["wall_ratio"], ours["rss"] / result["rss"])
            text = " / ".join(f"{ratio:.2f}" for ratio in found)
            if peer == "sharp-1" and row["name"] in ALONE:
                most = ALONE[row["name"]]
                text += f" ({'met' if found[0] <= most + 0.005 else 'missed'}: {most:.2f})"
            elif goal and peer != "sharp-1":
                index = 0 if peer == "sharp" else 1
                wanted = (goal[0][index], goal[0][index], goal[1][index])
                met = all(ratio <= most + 0.005 for ratio, most in zip(found, wanted, strict=True))
                text += f" ({'met' if met else 'missed'}: {wanted[0]:.2f}, {wanted[2]:.2f})"
            cells.append(text)
        out.append(cells)
    return table(["CPU / wall / memory, ours to theirs", *peers], out)


def floors(rows):
    """CPU time beside sharp with one thread, and that of decoding the codes alone, below which no time with this decoder
    can be."""
    out = []
    for row in rows:
        tools = row["tools"]
        if "sharp-1" not in tools:
            continue
        ours, alone = tools["tintype"], tools["sharp-1"]
        goal = ALONE.get(row["name"])
        ratio = f"{alone['cpu_ratio']:.2f}" + (f" ({goal:.2f})" if goal else "")
        floor = [f"{row['floor'] * 1e3:.1f}", f"{row['floor'] / alone['cpu']:.2f}"] if "floor" in row else ["", ""]
        memory = f"{ours['rss'] / 1e6:.0f} / {alone['rss'] / 1e6:.0f}"
        quality = (
            "/".join(f"{level:.1f}" for level in ours["psnr"]),
            "/".join(f"{level:.1f}" for level in alone["psnr"]),
        )
        times = [f"{tool['cpu'] * 1e3:.1f}" for tool in (ours, alone)]
        out.append([row["name"], *times, ratio, *floor, memory, *quality])
    header = ["CPU ms", "tintype", "sharp-1", "ratio (goal)", "codes alone", "to sharp-1", "MB", "dB", "sharp-1 dB"]
    return table(header, out)


def huge_table(huge):
    return table(
        ["100 megapixels", "CPU ms", "peak MB"],
        [[name, f"{cpu * 1e3:.0f}", f"{peak / 1e6:.0f}"] for name, cpu, peak in huge],
    )


def curve(rows, huge):
    """Duration and cost of a job by memory size, for the median file and the largest."""
    cpu = {row["name"]: row["tools"]["tintype"]["cpu"] for row in rows}["jpeg-12mp"]
    worst = max(seconds for _, seconds, _ in huge)
    out = []
    for size in (256, 512, 768, 1024, 1536, 1769, 2048, 3008):
        share = min(1, size / FULL_CPU_MB)
        duration = cpu / share + WAITING
        cost = {arch: (duration * size / 1024 * price + REQUEST) * 1e6 for arch, price in GB_SECOND.items()}
        out.append(
            [
                str(size),
                f"{duration * 1e3:.0f}",
                f"{(worst / share + WAITING):.1f}",
                f"{cost['arm64']:.2f}",
                f"{cost['x86-64']:.2f}",
            ]
        )
    header = ["memory MB", "12 MP JPEG ms", "slowest 100 MP s", "$ a million, arm64", "x86-64"]
    return table(header, out)


def plot(rows):
    """Bars of CPU time against sharp, which is 1."""
    colours = {
        "tintype": "#0b6e4f",
        "sharp": "#c0c4cc",
        "sharp-1": "#a9b4c9",
        "libvips": "#8f96a3",
        "libvips-debian": "#6d7482",
        "pillow": "#e0a458",
    }
    tools = list(rows[0]["tools"])
    bar, gap, left, scale = 9, 10, 190, 260
    height = sum(len(tools) * bar + gap for _ in rows) + 50
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{height}" '
            'font-family="sans-serif" font-size="11">'
        ),
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    x = left
    for tool in tools:
        parts.append(f'<rect x="{x}" y="10" width="10" height="10" fill="{colours[tool]}"/>')
        parts.append(f'<text x="{x + 14}" y="19">{tool}</text>')
        x += 110
    y = 40
    for row in rows:
        base = row["tools"]["sharp"]["cpu"]
        middle = y + len(tools) * bar / 2 + 4
        parts.append(f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">{row["name"]}</text>')
        for tool in tools:
            value = row["tools"][tool]["cpu"] / base
            width = min(value, 2.2) * scale
            parts.append(f'<rect x="{left}" y="{y}" width="{width:.0f}" height="{bar - 1}" fill="{colours[tool]}"/>')
            if value > 2.2:
                parts.append(f'<text x="{left + width + 3:.0f}" y="{y + 8}">{value:.1f}</text>')
            y += bar
        y += gap
    one = left + scale
    parts.append(f'<line x1="{one}" x2="{one}" y1="32" y2="{y}" stroke="#444" stroke-dasharray="3"/>')
    parts.append("</svg>")
    return "\n".join(parts)


def write(rows, huge, docs):
    path = docs / "thumbnails.md"
    text = path.read_text()
    before, rest = text.split(START)
    after = rest.split(END)[1]
    body = "\n\n".join(
        [
            START,
            figures(rows),
            ratios(rows),
            floors(rows),
            qualities(rows),
            huge_table(huge),
            curve(rows, huge),
            END,
        ]
    )
    path.write_text(before + body + after)
    (docs / "thumbnails.svg").write_text(plot(rows))
