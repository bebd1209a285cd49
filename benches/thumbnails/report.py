"""The table and the plot of a run."""


def line(row):
    parts = [f"{row['name']:26}"]
    for tool, result in row["tools"].items():
        quality = "/".join(f"{level:.1f}" for level in result["psnr"])
        parts.append(
            f"{tool} {result['cpu'] * 1e3:6.1f} ms {result['wall'] * 1e3:6.1f} wall "
            f"{result['rss'] / 1e6:5.0f} MB {quality} dB x{result['cpu_ratio']:.2f}"
        )
    return " | ".join(parts)
