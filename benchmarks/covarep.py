"""COVAREP's 74 features: agreement with the toolbox's own output, and speed.

    python benchmarks/covarep.py [--golden FOLDER] [--seconds 60] [--minutes 10]

The folder holds wav files, and beside each an ``.npz`` of what the toolbox gave: ``features``
(T, 74), ``names``. Without one, only the speed is measured, on a synthetic voice. Each figure of
agreement is the worst over the files. Rows that are compared: those with an F0 frame, 0.1 s and
more from digital silence, finite in the golden file; glottal features where VUV is 1; HMPDD 12
rows from the ends. Speed is CPU time of one core, best of three, after compilation; a family
alone pays for what it shares with others (polarity, pitch). With ``--minutes`` the whole is run
once over that much speech with pauses of 8 s: its cost, and by how much the peak of memory grew,
samples included.
"""

import argparse
import os
import resource

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import wave
from pathlib import Path

import numpy as np

from affectflow.extract.audio.covarep.pipeline import FAMILIES, covarep_rows

SHARED = Path(__file__).parents[2] / "shared" / "golden" / "covarep"
RATE = 16000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, default=SHARED)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=0.0)
    options = parser.parse_args()
    found = {}
    for path in sorted(options.golden.glob("*.wav")):
        if path.with_suffix(".npz").exists():
            print(f"\n{path.stem}")
            for name, value, unit, good in agreement(path):
                print(f"  {name:28s} {value:12.3g} {unit:6s} {'' if good else 'NOT REACHED'}")
                found.setdefault((name, unit), []).append(value)
    for (name, unit), values in found.items():
        lower_is_worse = unit in ("share", "r")
        worst = min(values) if lower_is_worse else max(values)
        print(f"figure covarep_{name} = {worst:.6g} {unit}")
    speed(options.seconds)
    if options.minutes:
        long_speech(60 * options.minutes)


def read(path):
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return samples.reshape(-1, file.getnchannels())[:, 0] / 32768, file.getframerate()


def agreement(path):
    """Lines of the table for one file: name, value, unit, whether it is good enough."""
    samples, rate = read(path)
    golden = np.load(path.with_suffix(".npz"))
    names, theirs = list(golden["names"]), golden["features"]
    ours = covarep_rows(samples, rate, compat=True)
    values = {name: ours.values[:, i] for i, name in enumerate(ours.columns)}
    wanted = {name: theirs[:, i] for i, name in enumerate(names)}
    rows = compared_rows(samples, rate, ours.samples, wanted)
    voiced = rows & (wanted["VUV"] == 1)
    inner = rows.copy()
    inner[np.flatnonzero(rows)[:12]] = inner[np.flatnonzero(rows)[-12:]] = False

    def off(name, where):
        return np.abs(values[name] - wanted[name])[where]

    def r(name, where):
        a, b = values[name][where], wanted[name][where]
        return np.corrcoef(a, b)[0, 1] if a.std() > 0 and b.std() > 0 else float(np.all(a == b))

    within = np.mean(off("F0", rows) <= 1)
    yield "F0_within_1_Hz", within, "share", within >= 0.99
    same = np.mean(off("VUV", rows) == 0)
    yield "VUV_equal", same, "share", same >= 0.995
    for name in ("NAQ", "QOQ", "PSP", "H1H2", "MDQ"):
        level = r(name, voiced)
        yield f"{name}_r", level, "r", level >= (0.98 if name == "MDQ" else 0.99)
    for name in ("NAQ", "QOQ", "PSP"):
        size = np.maximum(np.abs(wanted[name][voiced]), 1e-12)
        error = np.median(off(name, voiced) / size)
        yield f"{name}_median_relative_error", error, "relative", error <= 1e-3
    error = np.median(off("H1H2", voiced))
    yield "H1H2_median_error", error, "dB", error <= 0.05
    error = np.median(off("MDQ", voiced))
    yield "MDQ_median_error", error, "T0", error <= 1e-3
    error = off("peakSlope", rows).max()
    yield "peakSlope_largest_error", error, "log10", error <= 1e-6
    yield from agreement_of_rd(golden, samples, rate, values, wanted, rows)
    errors = [off(name, rows).max() for name in FAMILIES["mcep"]]
    yield "MCEP_largest_error", max(errors), "ln", max(errors) <= 0.02
    level = min(r(name, rows) for name in FAMILIES["mcep"])
    yield "MCEP_least_r", level, "r", level >= 0.9999
    means, deviations = FAMILIES["hmpd"][:25], FAMILIES["hmpd"][25:]
    turned = {name: circular(values[name] - wanted[name])[rows] for name in means}
    share = min(np.mean(turned[name] <= 1e-3) for name in means[:24])
    yield "HMPDM_0_23_within_1_mrad", share, "share", share >= 0.99
    yield "HMPDM_24_median_error", np.median(turned["HMPDM_24"]), "rad", True
    level = min(r(name, inner) for name in deviations)
    yield "HMPDD_least_r", level, "r", level >= 0.99
    error = max(off(name, inner).max() for name in deviations)
    yield "HMPDD_largest_error", error, "ln", error <= 0.05


def agreement_of_rd(golden, samples, rate, values, wanted, rows):
    old = covarep_rows(samples, rate, ["rd"], compat=True, conjugate=False).values.T
    pairs = {
        "Rd": (values["Rd"], wanted["Rd"], 0.02),
        "Rd_conf": (values["Rd_conf"], wanted["Rd_conf"], 0.005),
        "Rd_1.4.1": (old[0], np.nan_to_num(golden["Rd_v141"]), 0.02),
        "Rd_conf_1.4.1": (old[1], np.nan_to_num(golden["Rd_conf_v141"]), 0.005),
    }
    for name, (ours, theirs, limit) in pairs.items():
        share = np.mean(np.abs(ours - theirs)[rows] <= limit)
        yield f"{name}_within_{limit:g}", share, "share", share >= 0.98
        level = np.corrcoef(ours[rows], theirs[rows])[0, 1]
        yield f"{name}_r", level, "r", level >= 0.99


def compared_rows(samples, rate, where, wanted):
    """Rows with an F0 frame, away from digital silence, finite in the golden file."""
    theirs = np.stack(list(wanted.values()))
    covered = np.flatnonzero(wanted["F0"])
    rows = np.isfinite(theirs).all(axis=0)
    rows[: covered[0]] = rows[covered[-1] + 1 :] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], samples == 0, [False]]).astype(int)))
    for first, stop in edges.reshape(-1, 2):
        if stop - first > 0.025 * rate:
            rows &= (where < first - 0.1 * rate) | (where > stop + 0.1 * rate)
    return rows


def circular(angle):
    return np.abs((angle + np.pi) % (2 * np.pi) - np.pi)


def voice(seconds):
    """A synthetic voice of 110 Hz with vibrato and pauses, in a little noise."""
    times = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (110 * times + 2 * np.sin(2 * np.pi * 3 * times))
    sound = sum(np.cos(k * phase) / k for k in range(1, 30))
    noise = np.random.default_rng(0).standard_normal(len(times))
    return 0.1 * sound * (times % 3 < 2.2) + 0.003 * noise


def speech(seconds, pause=0.0):
    """Speech over and over, each time with a pause of faint noise after it."""
    golden = SHARED / "en_m.wav"
    sound = read(golden)[0] if golden.exists() else voice(5)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(round(pause * RATE))
    sound = np.concatenate([sound, noise])
    n = round(seconds * RATE)
    return np.tile(sound, -(-n // len(sound)))[:n]


def long_speech(seconds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sound = speech(seconds, pause=8.0).astype(np.float32)
    begin = time.process_time()
    covarep_rows(sound, RATE)
    cost = (time.process_time() - begin) / seconds
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"figure covarep_cpu_all_74_{seconds:.0f}_s_with_pauses = {cost:.4f} s per s")
    print(f"figure covarep_memory_{seconds:.0f}_s = {grown:.0f} MiB")


def speed(seconds):
    sound = speech(seconds)
    golden = SHARED / "en_m.wav"
    print(f"\nspeed on {seconds:g} s of {'speech' if golden.exists() else 'a synthetic voice'}")
    groups = {name: [name] for name in FAMILIES if name != "creak"} | {"all_74": list(FAMILIES)}
    for name, families in groups.items():
        covarep_rows(sound[: 2 * RATE], RATE, families)  # compiles
        best = np.inf
        for _ in range(3):
            begin = time.process_time()
            covarep_rows(sound, RATE, families)
            best = min(best, time.process_time() - begin)
        print(f"figure covarep_cpu_{name} = {best / seconds:.4f} s per s")


if __name__ == "__main__":
    main()
