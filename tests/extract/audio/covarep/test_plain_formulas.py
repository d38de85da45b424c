"""The features of the source, against the formulas written down once more, as plainly as can be.

What is tested is vectorised, compiled, cut into pieces; what it is compared with is none of that.
Positions count from 1 here, as in the toolbox.
"""

import numpy as np
import pytest
from scipy import signal as dsp

from affectflow.extract.audio.covarep.pipeline import covarep_rows
from affectflow.workflows.demo.voice import RATE, Voice, make_prosody, speak

FS = 16000


def rounded(x):
    """Half away from zero."""
    return int(np.sign(x) * np.floor(abs(x) + 0.5))


def hanning(n):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, n + 1) / (n + 1))


def both_ways(b, a, x):
    return dsp.filtfilt(b, a, x, padlen=3 * (max(len(b), len(a)) - 1))


def elliptic(edge, other):
    """High-pass from ``edge`` Hz, of the order that a band between both would need."""
    order, _ = dsp.ellipord(edge, other, 3, 60, fs=FS)
    return dsp.ellip(order, 3, 60, edge, "high", fs=FS)


def predictor(x, order):
    lags = np.array([x[: len(x) - k] @ x[k:] for k in range(order + 1)])
    a, error = np.array([1.0]), lags[0]
    for i in range(1, order + 1):
        k = -(a @ lags[i:0:-1]) / error
        a = np.append(a, 0)
        a, error = a + k * a[::-1], error * (1 - k * k)
    return a


def residual(x, order, model=None):
    model, out, window = x if model is None else model, np.zeros(len(x)), hanning(401)
    for start in range(0, len(x) - 401, 80):
        part = slice(start, start + 401)
        frame = x[part] * window
        error = dsp.lfilter(predictor(model[part] * window, order), 1, frame)
        out[part] += error * np.sqrt(frame @ frame / (error @ error))
    return out / np.abs(out).max()


def skewness(x):
    x = x - x.mean()
    return (x**3).mean() / (x**2).mean() ** 1.5


def polarity(x):
    high = both_ways(*elliptic(480, 500), x)
    return np.sign(skewness(residual(x, 18)) - skewness(residual(x, 18, high)))


def pitch(x):
    """Centres, F0, voiced, of frames of 1598 samples every 10 ms."""
    source = residual(x, 12)
    centres = np.arange(800, len(x) - 799 + 1, 160)
    window = np.blackman(1598)
    frames = np.stack([source[c - 800 : c + 798] * window for c in centres])
    frames -= frames.mean(axis=1, keepdims=True)
    spectra = np.abs(np.fft.fft(frames, FS))[:, : FS // 2]
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    low, high = 50, 500
    for _ in range(2):
        score = np.zeros((len(centres), high + 1))
        for f in range(low, high + 1):
            on = spectra[:, [(k * f - 1) % (FS // 2) for k in range(1, 6)]]
            off = spectra[:, [(rounded((k + 0.5) * f) - 1) % (FS // 2) for k in range(1, 5)]]
            score[:, f] = on.sum(axis=1) - off.sum(axis=1)
        f0, best = score[:, 1:].argmax(axis=1) + 1, score[:, 1:].max(axis=1)
        middle = np.median(f0[best > 0.1])
        low, high = max(low, rounded(0.5 * middle)), min(high, rounded(2 * middle))
    voiced = best > (0.085 if best.std(ddof=1) > 0.05 else 0.07)
    return centres, f0, voiced


def closures(x, centres, f0, voiced):
    """Positions of the residual's peaks minus 1."""
    strength = residual(x, 18)
    reach = rounded(1.7 * rounded(FS / np.median(f0[voiced & (f0 > 50) & (f0 < 500)])) / 2)
    window = np.blackman(2 * reach + 1) / (2 * reach + 1)
    mean = np.zeros(len(x))
    for p in range(reach, len(x) - reach):
        mean[p] = x[p - reach : p + reach + 1] @ window
    mean = both_ways(*elliptic(50, 30), mean)
    inner = np.arange(1, len(x) - 1)
    troughs = inner[(mean[1:-1] < mean[:-2]) & (mean[1:-1] < mean[2:])] + 1
    crests = inner[(mean[1:-1] > mean[:-2]) & (mean[1:-1] > mean[2:])] + 1
    crests = crests[crests > troughs[0]]
    troughs = troughs[troughs < crests[-1]]
    rises = crests - troughs
    places = []
    for p in np.flatnonzero(strength > 0.4) + 1:
        i = np.abs(troughs - p).argmin()
        places.append((p - troughs[i]) / rises[i])
    place = np.median(places)
    found = set()
    for trough, rise in zip(troughs, rises, strict=True):
        first = max(1, trough + rounded((place - 0.35) * rise))
        last = min(len(x), trough + rounded((place + 0.35) * rise))
        u = first + int(strength[first - 1 : last].argmax()) - 1
        if np.interp(u, centres, voiced, left=0, right=0) >= 0.5:
            found.add(u)
    return np.array(sorted(found))


def glottal_flow(x, u):
    flow, derivative = np.zeros(len(x)), np.zeros(len(x))
    taps = dsp.firls(301, [0, 40, 70, FS / 2], [0, 0, 1, 1], fs=FS)
    periods = np.diff(u, prepend=2 * u[0] - u[1])
    for centre, period in zip(u, periods, strict=True):
        part = slice(max(1, centre - period) - 1, min(len(x), centre + period))
        frame = x[part] * hanning(len(x[part]))
        speech = np.convolve(frame, taps)[150 : 150 + len(frame)]
        window = hanning(len(speech))
        started = np.concatenate([np.linspace(-speech[0], speech[0], 21), speech])
        tilt = dsp.lfilter(predictor(speech * window, 1), 1, started)[21:]
        tract = predictor(tilt * window, 20)
        glottis = dsp.lfilter([1], [1, -0.99], dsp.lfilter(tract, 1, started))[21:]
        without = dsp.lfilter(predictor(glottis * window, 8), 1, started)
        without = dsp.lfilter([1], [1, -0.99], without)[21:]
        fall = dsp.lfilter(predictor(without * window, 20), 1, started)
        derivative[part] += fall[21:]
        flow[part] += dsp.lfilter([1], [1, -0.99], fall)[21:]
    return flow, derivative


def quotients(flow, derivative, v):
    """NAQ and QOQ of each cycle."""
    naq, qoq = np.zeros((2, len(v)))
    for i in range(len(v)):
        first, period = (v[i - 1], v[i] - v[i - 1]) if i else (1, v[1] - v[0])
        if not 20 < FS / period < 500:
            continue
        pulse = flow[first - 1 : v[i]]
        pulse = pulse - np.linspace(pulse[0], pulse[-1], len(pulse))
        top = int(pulse.argmax()) + 1
        end = v[i] + 8 if v[i] + 8 <= len(flow) else v[i]
        naq[i] = pulse.max() / (np.abs(derivative[first - 1 : end]).max() * period)
        left = right = top
        while pulse[left - 1] > pulse.max() / 2 and left > 3:
            left -= 1
        while pulse[right - 1] > pulse.max() / 2 and right < len(pulse) - 2:
            right += 1
        qoq[i] = (right - left) / period
    return naq, qoq


def first_over_second(derivative, v):
    """H1H2 in dB: peaks of a spectrum with bins of 1 Hz, thinned to one a harmonic."""
    found = np.zeros(len(v))
    for i in range(len(v)):
        period = v[i] - v[i - 1] if i else v[1] - v[0]
        f0, reach = FS / period, rounded(1.5 * period)
        if not 20 < f0 < 500:
            continue
        frame = derivative[max(1, v[i] - reach) - 1 : v[i] + reach]
        level = 20 * np.log10(np.abs(np.fft.fft(2.0**15 * frame * np.hamming(len(frame)), FS)))
        peaks = dsp.find_peaks(level)[0].tolist()
        lower = [0]
        while lower:
            near = [k for k in range(len(peaks) - 1) if peaks[k + 1] - peaks[k] <= f0 / 2]
            lower = {k if level[peaks[k]] < level[peaks[k + 1]] else k + 1 for k in near}
            peaks = [peak for k, peak in enumerate(peaks) if k not in lower]
        if len(peaks) >= 5:
            one, two = (min(peaks, key=lambda p, h=h: abs(p + 1 - h * f0)) for h in (1, 2))
            found[i] = level[one] - level[two]
    return found


def parabola(pulse):
    with np.errstate(divide="ignore"):
        level = 20 * np.log10(np.abs(np.fft.fft(pulse, 2048)))
    n, misfit = 3, 0.0
    while misfit < 0.01:
        k, part = np.arange(n, dtype=float), level[:n]
        a = (n * (part * k**2).sum() - part.sum() * (k**2).sum()) / (
            n * (k**4).sum() - (k**2).sum() ** 2
        )
        misfit = ((part - a * k**2 - (part - a * k**2).mean()) ** 2).sum() / (part**2).sum()
        n += 1
    return a


def spectral_fall(flow, v):
    """PSP of each cycle but the first."""
    found = np.zeros(len(v))
    for i in range(1, len(v)):
        period = v[i] - v[i - 1]
        if 20 < FS / period < 500:
            pulse = flow[v[i - 1] - 1 : v[i]]
            pulse = pulse - pulse.min()
            found[i] = parabola(pulse / pulse.max()) / parabola(np.full(period, 1 / period))
    return found


def band(x, octave):
    n = np.arange(-1000, 1001) / 2.0**octave
    return np.convolve(x, -np.cos(np.pi * n) * np.exp(-(n**2) / 2), "same")


def dispersion(source, v):
    bands = [band(source, octave) for octave in range(2, 7)]
    found = np.zeros(len(v))
    for i in range(len(v)):
        period = v[i] - v[i - 1] if i else v[1] - v[0]
        side = rounded(0.2 * period)
        if v[i] - period > 0 and v[i] + period <= len(source):
            part = slice(v[i] - side - 1, v[i] + side)
            found[i] = np.mean([abs(side - (b[part].argmax() + 1)) for b in bands]) / period
    return found


def slopes(x):
    bands = np.abs([band(x, octave) for octave in range(6, -1, -1)])
    starts = np.arange(0, len(x) - 640 + 1, 160)
    peaks = [np.log10(bands[:, start : start + 640].max(axis=1)) for start in starts]
    return starts + 320, np.array([np.polyfit(np.arange(1, 8), peak, 1)[0] for peak in peaks])


def plain(x):
    """Columns of the source on COVAREP's rows."""
    rows = np.arange(80, len(x) + 1, 160)

    def on_rows(knots, values):
        return np.interp(rows, knots, values, left=0, right=0)

    x = polarity(x) * x
    centres, f0, voiced = pitch(x)
    u = closures(x, centres, f0, voiced)
    flow, derivative = glottal_flow(x, u)
    naq, qoq = quotients(flow, derivative, u + 1)
    return {
        "F0": on_rows(centres, f0),
        "VUV": on_rows(centres, voiced) >= 0.5,
        "NAQ": on_rows(u + 1, naq),
        "QOQ": on_rows(u + 1, qoq),
        "H1H2": on_rows(u + 1, first_over_second(derivative, u + 1)),
        "PSP": on_rows(u + 1, spectral_fall(flow, u + 1)),
        "MDQ": on_rows(u, dispersion(residual(x, 18), u + 1)),
        "peakSlope": on_rows(*slopes(x)),
    }


def voice(pitch, arousal, breath, sign):
    """A second of the demo's voice, with the room's noise and without digital silence."""
    rng = np.random.default_rng(rounded(pitch))
    speaker = Voice(pitch, 1 + (pitch - 120) / 600, breath, 1.0)
    speech = speak("well maybe we should go home", speaker, make_prosody(arousal, rng), rng)
    samples = dsp.resample_poly(speech.samples.astype(float), 320, 441)
    assert RATE * 320 // 441 == FS
    return sign * np.round(samples[FS // 4 : FS // 4 + FS] * 32768) / 32768


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pitch", "arousal", "breath", "sign"),
    [(85.0, -0.8, 0.02, 1), (120.0, 0.3, 0.05, -1), (230.0, 0.6, 0.25, 1)],
)
def test_the_source_is_that_of_the_formulas(pitch, arousal, breath, sign):
    samples = voice(pitch, arousal, breath, sign)
    found = covarep_rows(samples, FS, ["pitch", "cycles", "slope"], compat=True)
    assert not found.notes
    wanted = plain(samples)
    assert found.columns == tuple(wanted)
    assert 0.3 < wanted["VUV"].mean() < 1
    for name, values in zip(found.columns, found.values.T, strict=True):
        np.testing.assert_allclose(values, wanted[name], rtol=1e-7, atol=1e-8, err_msg=name)
