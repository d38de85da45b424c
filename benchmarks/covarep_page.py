"""The figures and tables of docs/covarep.md: features under a spectrogram, agreement, ranges.

    python benchmarks/covarep_page.py [--golden FOLDER] [--wav NAME] [--docs FOLDER]

FOLDER holds wav files, and beside each an ``.npz`` of the toolbox's output (see covarep.py). The
figures are SVG files with the images inside; the tables replace what stands between the marks
``<!-- NAME: made by ... -->`` and ``<!-- end of NAME -->`` of the page.
"""

import argparse
import base64
import os
import re

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import cv2
import numpy as np
from covarep import SHARED, agreement, read

from affectflow.extract.audio.covarep.pipeline import FAMILIES, covarep_rows
from affectflow.workflows.report.svg import Axis, axis

DOCS = Path(__file__).parents[1] / "docs"
#: Pixels: the whole figure, where its plots begin and end, a plot of a line, between two plots.
WIDTH, LEFT, RIGHT, TALL, GAP = 900, 92, 888, 74, 14
LINES = {
    "NAQ": "", "QOQ": "", "H1H2": "dB", "PSP": "", "MDQ": "periods", "peakSlope": "an octave",
    "Rd": "", "Rd_conf": "",
}  # fmt: skip
#: What must be reached, by the beginning of the figure's name; the first that fits counts.
WANTED = {
    "F0": "0.99", "VUV": "0.995", "NAQ_r": "0.99", "QOQ_r": "0.99", "PSP_r": "0.99",
    "H1H2_r": "0.99", "MDQ_r": "0.98", "H1H2_median": "0.05", "NAQ": "0.001", "QOQ": "0.001",
    "PSP": "0.001", "MDQ": "0.001", "peakSlope": "1e-06", "Rd_r": "0.99", "Rd_conf_r": "0.99",
    "Rd_1.4.1_r": "0.99", "Rd_conf_1.4.1_r": "0.99", "Rd": "0.98", "MCEP_least": "0.9999",
    "MCEP": "0.02", "HMPDM_0": "0.99", "HMPDM_24": "", "HMPDD_least": "0.99",
    "HMPDD": "0.05",
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, default=SHARED)
    parser.add_argument("--wav", default="en_m", help="Which of the files the figures show.")
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    samples, rate = read(options.golden / f"{options.wav}.wav")
    rows = covarep_rows(samples, rate)
    figures = options.docs / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for name, draw in (("covarep_glottis", glottis), ("covarep_spectra", spectra)):
        path = figures / f"{name}.svg"
        path.write_text(draw(samples, rate, rows))
        print(f"figure {name} = {path.stat().st_size / 1000:.0f} kB")
    page = options.docs / "covarep.md"
    paths = [p for p in sorted(options.golden.glob("*.wav")) if p.with_suffix(".npz").exists()]
    text = replaced(page.read_text(), "agreement", agreement_table(paths))
    page.write_text(replaced(text, "ranges", range_table(paths)))


def glottis(samples, rate, rows):
    """Spectrograms with F0, and the features of the glottis; voiced rows in colour."""
    seconds = len(samples) / rate
    x = Axis(0, seconds, LEFT, RIGHT, 0.5)
    columns = dict(zip(rows.columns, rows.values.T, strict=True))
    voiced = columns["VUV"] > 0
    times = rows.samples / rate
    parts, top = [], 10
    wide = spectrogram(samples, rate, 0.006, 8000, 600)
    parts += [picture(wide, top, 130), names("speech", "kHz", top, 130)]
    parts.append(scale(Axis(0, 8, top + 130, top, 2), LEFT))
    top += 130 + GAP
    narrow = spectrogram(samples, rate, 0.060, 500, 600)
    y = Axis(0, 500, top + 130, top, 100)
    parts += [picture(narrow, top, 130), names("F0", "Hz", top, 130), scale(y, LEFT)]
    parts.append(line(times, np.where(voiced, columns["F0"], np.nan), x, y, "#ffb000", 2))
    top += 130 + GAP
    for name, unit in LINES.items():
        y = axis(columns[name].tolist(), top + TALL, top)
        parts += [shade(times, voiced, x, top), names(name, unit, top, TALL), scale(y, LEFT)]
        parts.append(line(times, columns[name], x, y, "#b8bfc6", 1))
        parts.append(line(times, np.where(voiced, columns[name], np.nan), x, y, "#1f5fa8", 1.5))
        top += TALL + GAP
    return svg(parts, x, top)


def spectra(samples, rate, rows):
    """A spectrogram, and MCEP, HMPDM and HMPDD as images, a line a column of the features."""
    x = Axis(0, len(samples) / rate, LEFT, RIGHT, 0.5)
    columns = dict(zip(rows.columns, rows.values.T, strict=True))
    parts, top = [], 10
    parts += [picture(spectrogram(samples, rate, 0.006, 8000, 600), top, 130)]
    parts += [names("speech", "kHz", top, 130), scale(Axis(0, 8, top + 130, top, 2), LEFT)]
    top += 130 + GAP
    groups = [
        ("MCEP", [f"MCEP_{i}" for i in range(1, 25)], "1 to 24", cv2.COLORMAP_VIRIDIS),
        ("HMPDM", [f"HMPDM_{i}" for i in range(25)], "-pi to pi", cv2.COLORMAP_TWILIGHT),
        ("HMPDD", [f"HMPDD_{i}" for i in range(1, 13)], "1 to 12", cv2.COLORMAP_VIRIDIS),
    ]
    for name, members, note, colours in groups:
        values = np.stack([columns[member] for member in members])
        if name == "HMPDM":
            shares = (values + np.pi) / (2 * np.pi)
        else:  # each column by its own spread, or the first ones drown the others
            low, high = np.quantile(values, [0.02, 0.98], axis=1, keepdims=True)
            shares = (values - low) / np.maximum(high - low, 1e-9)
        image = cv2.applyColorMap((255 * np.clip(shares[::-1], 0, 1)).astype(np.uint8), colours)
        height = 7 * len(members)
        first, last = int(members[0].split("_")[1]), int(members[-1].split("_")[1])
        y = Axis(first - 0.5, last + 0.5, top + height, top, 4)
        ends = [x((rows.samples[0] - 80) / rate), x((rows.samples[-1] + 80) / rate)]
        parts += [picture(image, top, height, ends, smooth=False), names(name, note, top, height)]
        parts.append(scale(y, LEFT))
        top += height + GAP
    return svg(parts, x, top)


def spectrogram(samples, rate, width, highest, n_columns):
    """Grey levels (n_bins, n_columns), low frequencies below; 60 dB under the loudest is white."""
    half = round(width * rate / 2)
    centres = np.linspace(0, len(samples) - 1, n_columns).astype(int)
    padded = np.pad(samples, half)
    frames = np.stack([padded[c : c + 2 * half] for c in centres]) * np.hanning(2 * half)
    n_fft = 1 << 13 if highest < 1000 else 512
    size = np.abs(np.fft.rfft(frames, n_fft))[:, : round(highest / rate * n_fft) + 1]
    level = 20 * np.log10(np.maximum(size / size.max(), 1e-9))
    grey = 255 - 215 * np.clip(1 + level / 60, 0, 1)
    return grey.T[::-1].astype(np.uint8)


def picture(image, top, height, ends=(LEFT, RIGHT), smooth=True):
    kind, form, settings = ("jpeg", ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 60]) if smooth else (
        "png", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )  # fmt: skip
    data = base64.b64encode(cv2.imencode(form, image, settings)[1].tobytes()).decode()
    style = "" if smooth else ' style="image-rendering:pixelated"'
    return (
        f'<image x="{ends[0]:.1f}" y="{top}" width="{ends[1] - ends[0]:.1f}" height="{height}" '
        f'preserveAspectRatio="none"{style} href="data:image/{kind};base64,{data}"/>'
    )


def names(name, unit, top, height):
    middle = top + height / 2
    return (
        f'<text x="6" y="{middle}" font-weight="bold">{name}</text>'
        f'<text x="6" y="{middle + 14}" fill="#59636e">{unit}</text>'
    )


def scale(y, left):
    """Ticks of a vertical axis, and its line."""
    ticks = "".join(
        f'<text x="{left - 5}" y="{min(max(y(tick) + 4, y.stop + 8), y.start):.1f}" '
        f'text-anchor="end" fill="#59636e">{tick:g}</text>'
        for tick in y.ticks
    )
    return f'{ticks}<path d="M{left} {y.stop}V{y.start}" stroke="#8b949e" fill="none"/>'


def shade(times, voiced, x, top):
    """Voiced stretches behind a plot."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(int)))
    return "".join(
        f'<rect x="{x(times[a]):.1f}" y="{top}" width="{x(times[b - 1]) - x(times[a]):.1f}" '
        f'height="{TALL}" fill="#eef2f7"/>'
        for a, b in edges.reshape(-1, 2)
    )


def line(times, values, x, y, colour, width):
    """A line that breaks where a value is NaN."""
    path, pen = [], "M"
    for time, value in zip(times, values, strict=True):
        if np.isnan(value):
            pen = "M"
        else:
            path.append(f"{pen}{x(time):.1f} {y(value):.1f}")
            pen = "L"
    return f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def svg(parts, x, bottom):
    ticks = "".join(
        f'<text x="{x(tick):.1f}" y="{bottom + 8}" text-anchor="middle" fill="#59636e">'
        f"{tick:g}{' s' if tick == 0 else ''}</text>"
        for tick in x.ticks
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 16}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}{ticks}</svg>\n"
    )


def agreement_table(paths):
    found = {}
    for path in paths:
        for name, value, unit, good in agreement(path):
            text = f"{value:.6g}" if unit in ("share", "r") else f"{value:.2g}"
            found.setdefault((name, unit), []).append(text if good else f"**{text}**")
    lines = [
        f"| | unit | must be | {' | '.join(path.stem for path in paths)} |",
        "|---|---|---|" + "---|" * len(paths),
    ]
    for (name, unit), texts in found.items():
        sign = "≥" if unit in ("share", "r") else "≤"
        bar = next(bar for start, bar in WANTED.items() if name.startswith(start))
        label = name.replace("_", " ").replace("0 23", "0 to 23")
        lines.append(
            f"| {label} | {unit} | {f'{sign} {bar}' if bar else ''} | {' | '.join(texts)} |"
        )
    return "\n".join(lines)


def range_table(paths):
    """Medians and 5 to 95 % of voiced rows of all files."""
    parts = []
    for path in paths:
        rows = covarep_rows(*read(path))
        values = dict(zip(rows.columns, rows.values.T, strict=True))
        real = rows.mask & (values["VUV"] > 0)
        parts.append({name: column[real] for name, column in values.items()})
    shown = [
        name for family in FAMILIES.values() for name in family
        if name not in ("VUV", "creak") and not re.fullmatch(r"(MCEP|HMPD.)_([3-9]|\d\d)", name)
    ]  # fmt: skip
    lines = ["| column | 5 % | median | 95 % |", "|---|---|---|---|"]
    for name in shown:
        values = np.concatenate([part[name] for part in parts])
        if values.any():
            low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
            lines.append(f"| `{name}` | {low:.3g} | {middle:.3g} | {high:.3g} |")
    return "\n".join(lines)


def replaced(page, name, table):
    begin, end = rf"<!-- {name}: made by [^>]*-->", rf"<!-- end of {name} -->"
    found = re.search(f"({begin})(.*?)({end})", page, re.DOTALL)
    if found is None:
        raise SystemExit(f"the page has no marks of '{name}'")
    return f"{page[: found.end(1)]}\n{table}\n{page[found.start(3) :]}"


if __name__ == "__main__":
    main()
