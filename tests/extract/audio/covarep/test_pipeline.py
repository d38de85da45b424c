"""All 74 columns: the toolbox's numbers, however cut, the same each time."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from affectflow.extract.audio.covarep import (
    harmonics,
    hmpd,
    residual,
    sedreams,
    signal,
    srh,
    wavelet,
)
from affectflow.extract.audio.covarep.pipeline import FAMILIES, covarep_rows

GOLDEN = Path(__file__).parent / "golden" / "tricky_sil_noise.npz"
RATE = 16000
MEANS, DEVIATIONS = FAMILIES["hmpd"][:25], FAMILIES["hmpd"][25:]


@pytest.fixture(scope="module")
def speech():
    """4 s of synthetic speech with silence and noise, and COVAREP 1.4.2's features of it."""
    with np.load(GOLDEN) as arrays:
        return arrays["samples"] / 32768, arrays["features"]


@pytest.fixture(scope="module")
def both(speech):
    """Columns of ours and of the toolbox, on rows that can be compared."""
    samples, features = speech
    ours = covarep_rows(samples, RATE, compat=True)
    assert ours.values.shape == features.shape
    f0 = features[:, ours.columns.index("F0")]
    rows = np.isfinite(features).all(axis=1) & ours.mask
    rows[: np.flatnonzero(f0)[0]] = rows[np.flatnonzero(f0)[-1] + 1 :] = False
    silent = np.convolve(samples == 0, np.ones(400), "same") == 400
    near = np.convolve(silent, np.ones(2 * 1800), "same") > 0.5  # 0.1 s either side
    rows &= ~near[ours.samples]
    assert rows.sum() > 200
    return {
        name: (ours.values[rows, i], features[rows, i].astype(float))
        for i, name in enumerate(ours.columns)
    }


def voiced(both, name):
    rows = both["VUV"][1] == 1
    return both[name][0][rows], both[name][1][rows]


def test_pitch_is_that_of_covarep(both):
    assert np.mean(np.abs(np.subtract(*both["F0"])) <= 1) >= 0.99
    assert np.mean(np.equal(*both["VUV"])) >= 0.995


@pytest.mark.parametrize("name", ["NAQ", "QOQ", "H1H2", "PSP", "MDQ"])
def test_the_glottis_is_that_of_covarep(both, name):
    ours, theirs = voiced(both, name)
    assert np.corrcoef(ours, theirs)[0, 1] >= 0.999
    assert np.median(np.abs(ours - theirs)) <= 1e-6 * np.abs(theirs).max()


def test_the_slope_is_that_of_covarep(both):
    assert np.abs(np.subtract(*both["peakSlope"])).max() <= 1e-6


def test_rd_is_that_of_covarep(both):
    assert np.mean(np.abs(np.subtract(*both["Rd"])) <= 0.02) >= 0.98
    assert np.mean(np.abs(np.subtract(*both["Rd_conf"])) <= 0.005) >= 0.98


def test_mcep_is_that_of_covarep(both):
    assert max(np.abs(np.subtract(*both[name])).max() for name in FAMILIES["mcep"]) <= 0.02


def test_the_phases_are_those_of_covarep(both):
    for name in MEANS[:24]:
        turned = np.abs((np.subtract(*both[name]) + np.pi) % (2 * np.pi) - np.pi)
        assert np.mean(turned <= 1e-3) >= 0.99
    for name in DEVIATIONS:
        ours, theirs = both[name]
        assert np.abs(ours - theirs)[12:-12].max() <= 0.05


@pytest.mark.parametrize("compat", [False, True])
def test_seams_of_pieces_are_not_seen(monkeypatch, speech, compat):
    noise = 1e-4 * np.random.default_rng(0).normal(size=8000)
    samples = np.concatenate([speech[0][:40000], noise, speech[0][:8000]])
    whole = covarep_rows(samples, RATE, compat=compat)
    for module, size in (
        (signal, 5000), (residual, 5000), (sedreams, 5000), (wavelet, 3000),
        (srh, 7), (harmonics, 33), (hmpd, 40),
    ):  # fmt: skip
        monkeypatch.setattr(module, "PIECE", size)
    cut = covarep_rows(samples, RATE, compat=compat)
    np.testing.assert_array_equal(cut.mask, whole.mask)
    off = np.abs(cut.values - whole.values)
    for i, name in enumerate(whole.columns):
        if name in MEANS:
            off[:, i] = np.abs((off[:, i] + np.pi) % (2 * np.pi) - np.pi)
    inner = off[12:-12] if compat else off  # the ends of HMPDD are noise of rounding in compat
    assert inner.max() < 1e-7


def test_a_family_alone_has_the_numbers_it_has_among_the_others(speech):
    samples = speech[0][:24000]
    everything = covarep_rows(samples, RATE)
    for family, names in FAMILIES.items():
        alone = covarep_rows(samples, RATE, [family])
        where = [everything.columns.index(name) for name in names]
        np.testing.assert_allclose(alone.values, everything.values[:, where], atol=1e-9)


def test_random_phases_follow_from_the_content(speech):
    samples = speech[0][:24000]
    first, again = (covarep_rows(samples, RATE).values for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_another_process_gives_the_same_numbers(speech):
    samples = speech[0][:24000]
    here = covarep_rows(samples, RATE).values
    program = (
        "import hashlib, numpy as np\n"
        "from affectflow.extract.audio.covarep.pipeline import covarep_rows\n"
        f"samples = np.load({str(GOLDEN)!r})['samples'][:24000] / 32768\n"
        "print(hashlib.sha256(covarep_rows(samples, 16000).values.tobytes()).hexdigest())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert told.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_a_pause_costs_no_more_than_its_length(speech):
    """The frame of the cycle after a pause spans the pause: its cost must not be its square."""

    speaking = speech[0][:16000]
    noise = 1e-4 * np.random.default_rng(0).normal(size=10 * RATE)

    def seconds(pause):
        sound = np.concatenate([speaking, noise[: pause * RATE], speaking])
        begin = time.process_time()
        covarep_rows(sound, RATE, ["cycles"])
        return (time.process_time() - begin) / (pause + 2)

    seconds(1)
    assert min(seconds(10), seconds(10)) < 3 * min(seconds(2), seconds(2)) + 0.02
