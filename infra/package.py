"""Writes the zips of the functions: an executable as `bootstrap`, and the files of the web page in `site/` beside it.

`python -m infra.package` adds the built page to the zip that `cargo lambda build` made.
"""

import zipfile
from pathlib import Path

SITE_FOLDER = "site"
ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "web" / "dist"
WEB_ZIP = ROOT / "target" / "lambda" / "web" / "bootstrap.zip"
# Fixed dates, so that equal files make equal zips.
EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(file: Path, executable: bytes, site: Path | None, level: int) -> None:
    def entry(name: str, mode: int) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, EPOCH)
        info.external_attr = (0o100000 | mode) << 16
        return info

    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry("bootstrap", 0o755), executable, zipfile.ZIP_DEFLATED, compresslevel=level)
        for path in sorted(site.rglob("*")) if site else []:
            if path.is_file():
                name = f"{SITE_FOLDER}/{path.relative_to(site).as_posix()}"
                archive.writestr(entry(name, 0o644), path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=level)


def main() -> None:
    with zipfile.ZipFile(WEB_ZIP) as archive:
        executable = archive.read("bootstrap")
    pack(WEB_ZIP, executable, SITE, 9)


if __name__ == "__main__":
    main()
