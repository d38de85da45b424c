"""COVAREP's 74 columns in one pass: what several features share is computed once.

The order is the toolbox's: polarity, pitch, closures, glottal flow, features, rows. Two modes:

``compat=True`` is the toolbox to the letter. Values outside a feature's first and last frame are
0, MCEP frames are stretched over the whole file, pitch frames that touch digital silence have an
F0 of 1 Hz, and a file in which any step fails has no features at all. The slope of the wavelet
peaks may be infinite beside silence; such rows are masked.

``compat=False`` puts every frame at its own time, holds the first and the last frame towards the
ends (their windows reach there), leaves out frames without sound, and masks rows in digital
silence. Each feature goes as far as it can: where one has no value, the others stand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from ....cache.errors import BadInput
from ....cache.records import Array
from .families import FAMILIES
from .glottal import glottal_cycles
from .hmpd import hmpd_at
from .iaif import glottal_flow
from .residual import lp_residual, polarity
from .rows import CovarepRows, RowGrid
from .sedreams import closures_in_rises, mean_based_rises
from .signal import without_nan
from .sinusoidal import sinusoidal_features
from .srh import Pitch, srh_pitch, srh_residual
from .wavelet import mdq, peak_slope

if TYPE_CHECKING:
    from .creak_network import CreakNetwork

#: Samples that the filter of the polarity needs, frames that the toolbox's HMPD needs.
LEAST_SAMPLES, LEAST_FRAMES = 31, 73
#: Share of voiced rows under which the user is told.
FEW_VOICED = 0.1


class NotDefined(Exception):
    """A feature has no value in this sound; the message says why."""


class Voice:
    """A recording, and what several features need of it.

    Ten minutes of sound in float64 are 77 MB, so as few signals as possible are kept: features
    that change their sign with the polarity take the sound as it is, and are turned afterwards.

    Args:
        samples: (n_samples,) mono, full scale [-1, 1].
        rate: Hz.
        compat: as the toolbox does; see above.

    Raises:
        BadInput: a sample is not a number.
    """

    def __init__(self, samples: Array, rate: int, compat: bool) -> None:
        finite = np.isfinite(samples)
        if not finite.all():
            raise BadInput(
                f"the sound holds values that are no numbers (NaN or inf): {int((~finite).sum())} "
                f"of {len(finite)} samples, the first at {int(np.argmin(finite)) / rate:.3f} s"
            )
        self.samples, self.rate, self.compat = samples, rate, compat
        self.rows = RowGrid(len(samples), rate, compat)

    @cached_property
    def sign(self) -> int:
        """-1 where the polarity is negative."""
        if len(self.samples) < LEAST_SAMPLES:
            return 1
        return polarity(self.samples, self.rate) or 1

    @cached_property
    def pitch(self) -> Pitch:
        """F0 and voicing.

        Raises:
            NotDefined: there is no frame, or (not in ``compat``) none with sound.
        """
        residual = srh_residual(self.samples, self.rate)
        if not self.compat:
            residual = without_nan(residual)
        pitch = srh_pitch(self.samples, self.rate, residual=residual)
        if not len(pitch):
            seconds = len(self.samples) / self.rate
            raise NotDefined(f"it needs more than 100 ms of sound, not {seconds:.3f} s")
        if not (self.compat or np.any(pitch.strength > 0)):
            raise NotDefined("there is no periodic sound")
        return pitch


def covarep_rows(
    samples: Array,
    rate: int,
    families: Collection[str] = tuple(FAMILIES),
    *,
    compat: bool = False,
    conjugate: bool = True,
    creak: CreakNetwork | None = None,
) -> CovarepRows:
    """Compute families of COVAREP's features.

    Args:
        samples: (n_samples,) mono, full scale [-1, 1].
        rate: Hz; the features are made for 16000.
        families: names of ``FAMILIES``; the columns come in the toolbox's order.
        compat: the toolbox to the letter; see above.
        conjugate: Rd as in COVAREP 1.4.2; False: as in 1.4.1, the published method.
        creak: the network behind the column ``creak``; None: the column is 0.

    Raises:
        BadInput: a sample is not a number.
    """
    voice = Voice(samples, rate, compat)
    makers: dict[tuple[str, ...], Callable[[tuple[str, ...]], dict[str, Array]]] = {
        ("pitch",): lambda _: _pitch(voice),
        ("cycles",): lambda _: _cycles(voice),
        ("slope",): lambda _: _slope(voice),
        ("creak",): lambda _: _creak(voice, creak),
        ("rd", "mcep", "hmpd"): lambda wanted: _harmonic(voice, wanted, conjugate),
    }
    columns: dict[str, Array] = {}
    missing: dict[str, list[str]] = {}  # reason -> families
    for group, make in makers.items():
        wanted = tuple(name for name in group if name in families)
        if not wanted:
            continue
        try:
            with np.errstate(divide="ignore", invalid="ignore"):  # digital silence
                columns |= make(wanted)
        except NotDefined as reason:
            missing.setdefault(str(reason), []).extend(wanted)
    names = tuple(name for family in FAMILIES if family in families for name in FAMILIES[family])
    values = np.full((len(voice.rows), len(names)), np.nan)
    for i, name in enumerate(names):
        if name in columns:
            values[:, i] = columns[name]
    notes = [f"{_named(group)} not defined: {reason}" for reason, group in missing.items()]
    return _finished(voice, values, names, notes)


def _finished(voice: Voice, values: Array, names: tuple[str, ...], notes: list[str]) -> CovarepRows:
    """Values with 0 for what is not defined, and the mask that says where nothing is."""
    grid = voice.rows
    mask = np.asarray(np.isfinite(values).any(axis=1))
    silent = grid.silent(voice.samples)
    if voice.compat and notes:
        mask[:] = False
        notes = [f"COVAREP has no features at all for this sound: {'; '.join(notes)}"]
    else:
        voiced = values[:, names.index("VUV")].sum() if "VUV" in names else np.inf
        if not notes and voiced < FEW_VOICED * len(mask):
            notes.append(
                f"only {voiced:.0f} of {len(mask)} rows are voiced: in the others what is measured "
                "of the glottis (NAQ to Rd_conf) has no meaning"
            )
        gone = np.asarray(np.isinf(values).any(axis=1)) if voice.compat else silent
        if voice.compat:
            mask[:] = True
            if gone.any():
                notes.append(f"peakSlope is infinite beside digital silence: {gone.sum()} rows")
        mask &= ~gone
        if silent.any():
            fate = "what stands there has no meaning" if voice.compat else "they are masked"
            notes.append(f"digital silence: {silent.sum()} of {len(silent)} rows, {fate}")
    values[~np.isfinite(values)] = 0
    values[~mask] = 0
    return CovarepRows(values, mask, names, grid.samples, tuple(notes))


def _named(families: Collection[str]) -> str:
    """Columns of families in few words: ``F0 to VUV, MCEP_0 to MCEP_24``."""
    ends = [(FAMILIES[name][0], FAMILIES[name][-1]) for name in families]
    return ", ".join(first if first == last else f"{first} to {last}" for first, last in ends)


def _pitch(voice: Voice) -> dict[str, Array]:
    pitch, rows = voice.pitch, voice.rows
    if not voice.compat:
        pitch = pitch.where(pitch.strength > 0)
    voiced = rows.frames(pitch.centres, pitch.voiced.astype(float))
    return {"F0": rows.frames(pitch.centres, pitch.f0), "VUV": np.where(voiced >= 0.5, 1.0, 0.0)}


def _cycles(voice: Voice) -> dict[str, Array]:
    pitch, rate, rows = voice.pitch, voice.rate, voice.rows
    if not pitch.voiced.any():
        raise NotDefined("nothing is voiced")
    rises = mean_based_rises(voice.samples, rate, pitch.median, voice.sign)
    residual = lp_residual(voice.samples, rate)
    residual *= voice.sign
    np.nan_to_num(residual, copy=False)
    closures = closures_in_rises(residual, rises, pitch)
    if len(closures) < 2:
        raise NotDefined(f"it needs two closures of the glottis, not {len(closures)}")
    columns = {"MDQ": rows.inside(closures - 1, mdq(residual, closures))}
    del residual
    flow, derivative = glottal_flow(voice.samples, rate, closures)
    flow *= voice.sign
    derivative *= voice.sign
    cycles = glottal_cycles(flow, derivative, rate, closures)
    values = {"NAQ": cycles.naq, "QOQ": cycles.qoq, "H1H2": cycles.h1h2, "PSP": cycles.psp}
    return columns | {name: rows.inside(closures, value) for name, value in values.items()}


def _slope(voice: Voice) -> dict[str, Array]:
    where, slope = peak_slope(voice.samples, voice.rate)
    if not len(where):
        raise NotDefined("it needs 40 ms of sound")
    slope[np.isnan(slope) if voice.compat else ~np.isfinite(slope)] = 0 if voice.compat else np.nan
    return {"peakSlope": voice.rows.frames(where, slope)}


def _harmonic(voice: Voice, wanted: tuple[str, ...], conjugate: bool) -> dict[str, Array]:
    """Rd, MCEP and HMPD: all that starts from the sinusoidal frames."""
    pitch, rows = voice.pitch, voice.rows
    f0 = pitch.f0 if voice.compat else np.where(pitch.strength > 0, pitch.f0, 0)
    sign = voice.sign if {"rd", "hmpd"} & set(wanted) else 1
    upright = voice.samples * np.float64(sign)
    found = sinusoidal_features(
        upright, voice.rate, f0, pitch.centres, wanted, conjugate, compat=voice.compat
    )
    del upright
    n = len(found.index)
    if n == 0:
        raise NotDefined("no frame holds three periods")
    if voice.compat and "hmpd" in wanted and n < LEAST_FRAMES:
        raise NotDefined(f"it needs {LEAST_FRAMES} frames (0.83 s), not {n}")
    centres = pitch.centres[found.index]
    place = rows.stretched if voice.compat else partial(rows.frames, centres)
    columns = dict(zip(FAMILIES["mcep"], map(place, found.mcep.T), strict=False))
    for name, values in zip(FAMILIES["rd"], found.rd.T, strict=False):
        columns[name] = rows.frames(centres, values)
    if "hmpd" in wanted:
        hmpd = _hmpd_rows(voice, centres, found.hmpd)
        columns |= dict(zip(FAMILIES["hmpd"], hmpd.T, strict=True))
    return columns


def _hmpd_rows(voice: Voice, centres: Array, statistics: Array) -> Array:
    """HMPD (n, 38) of frames on the rows, (T, 38); ends as in ``RowGrid.frames``."""
    at = voice.rows.samples / voice.rate
    if not voice.compat:
        real = np.isfinite(statistics).all(axis=1)
        if not real.any():
            return np.full((len(at), statistics.shape[1]), np.nan)
        centres, statistics = centres[real], statistics[real]
    values = hmpd_at(statistics, (centres + 1) / voice.rate, at)
    real = np.isfinite(values).all(axis=1)
    if voice.compat or not real.any():
        return values
    nearest = np.interp(np.arange(len(at)), np.flatnonzero(real), np.flatnonzero(real))
    held: Array = values[np.round(nearest).astype(np.int64)]
    return held


def _creak(voice: Voice, network: CreakNetwork | None) -> dict[str, Array]:
    if network is None:
        return {}
    from .creak import LEAST_RATE, creak_features, creak_pitch, creak_rows

    rate, compat = voice.rate, voice.compat
    upright = voice.samples * np.float64(voice.sign)
    residual = srh_residual(upright, rate)
    pitch = creak_pitch(upright, rate, residual if compat else without_nan(residual))
    if rate <= LEAST_RATE or not pitch.voiced.any():
        if compat:  # the toolbox gives 0 where this step fails, and goes on
            return {}
        few = f"it needs more than {LEAST_RATE} samples a second, not {rate}"
        raise NotDefined("nothing is voiced" if rate > LEAST_RATE else few)
    creaky = network.probability(creak_features(upright, rate, pitch))
    return {"creak": voice.rows.frames(creak_rows(len(upright), rate), creaky)}
