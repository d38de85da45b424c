"""How much of the demo corpus' label M each modality tells, and all of them together.

Simple features (VADER's scores; loudness, pitch and MFCC means; mean landmarks by MTCNN), ridge
regression, leaving out one speaker at a time. Prints Pearson's r between the predictions and M over
all utterances (beside it r with the modality's own label), the share of pictures in which MTCNN
finds the face, and the share of frames in which openSMILE finds a pitch: the mean over the corpora
of several seeds, and the lowest of them.

    python benchmarks/demo_signal.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import affectflow as af
from affectflow.extract.media import read_audio
from affectflow.workflows.demo import make_demo


def text_features(utterance):
    """VADER's verdict on the sentence, (4,)."""
    return af.extractor("vader")(utterance.text)["sentence"].values[0]


def audio_features(utterance):
    """Loudness in dB, pitch in semitones and MFCC 1-4: means, and the spread of the pitch, (8,)."""
    import librosa

    wave = read_audio(utterance.media, 22050)
    f0 = librosa.yin(wave.samples, fmin=65, fmax=500, sr=wave.rate)
    rms = librosa.feature.rms(y=wave.samples)[0][: len(f0)]
    loud = rms > 0.3 * rms.max()  # the vowels
    semitones = 12 * np.log2(f0[: len(rms)][loud] / 100)
    mfcc = librosa.feature.mfcc(y=wave.samples, sr=wave.rate, n_mfcc=5)[1:, : len(rms)][:, loud]
    level = 20 * np.log10(rms[loud].mean())
    pitch = [np.median(semitones), np.subtract(*np.percentile(semitones, [85, 15]))]
    return np.array([level, *pitch, wave.duration, *mfcc.mean(axis=1)])


def vision_features(utterance, found):
    """Mean and spread of the face's shape, turned upright and in units of the eyes' distance, (8,).

    Adds (pictures with a face, pictures) to ``found``.
    """
    faces = af.extractor("mtcnn-face", rate=3)(utterance.media)
    found += faces.mask.sum(), len(faces)
    names = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
    columns = {name: k for k, name in enumerate(faces.columns)}
    x, y = (
        np.stack([faces.values[faces.mask, columns[f"{name}_{axis}"]] for name in names])
        for axis in "xy"
    )  # (5, T)
    points = x + 1j * y
    eyes = points[1] - points[0]
    upright = (points - (points[0] + points[1]) / 2) / eyes  # the eyes at -0.5 and 0.5
    nose, left, right = upright[2], upright[3], upright[4]
    shape = [
        (right - left).real,
        ((left + right) / 2).imag,
        ((left + right) / 2 - nose).imag,
        nose.imag,
    ]
    return np.concatenate([np.mean(shape, axis=1), np.std(shape, axis=1)])


def voiced_share(utterance):
    """Share of frames in which eGeMAPS finds a pitch."""
    features = af.extractor("egemaps")(utterance.media)
    pitch = features.columns.index("F0semitoneFrom27.5Hz_sma3nz")
    return float((features.values[:, pitch] > 0).mean())


def correlation(features, target, groups):
    """Pearson's r of out-of-speaker predictions by ridge regression."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-1, 3, 9)))
    folds = LeaveOneGroupOut()
    predicted = cross_val_predict(model, features, target, groups=groups, cv=folds)
    return float(np.corrcoef(predicted, target)[0, 1])


def measure(seed, n, folder):
    """Figures of one corpus by name, its own making included."""
    began = time.perf_counter()
    corpus = make_demo(folder, n=n, seed=seed)
    figures = {"make": time.perf_counter() - began}
    found = np.zeros(2)
    utterances = list(corpus)
    blocks = {
        "text": np.stack([text_features(u) for u in utterances]),
        "audio": np.stack([audio_features(u) for u in utterances]),
        "vision": np.stack([vision_features(u, found) for u in utterances]),
    }
    speakers = [u.speaker for u in utterances]
    for name, block in blocks.items():
        figures[f"r_{name}"] = correlation(block, corpus.labels("M"), speakers)
        own = correlation(block, corpus.labels(name[0].upper()), speakers)
        figures[f"r_{name}_own_label"] = own
    figures["r_fused"] = correlation(np.hstack(list(blocks.values())), corpus.labels("M"), speakers)
    figures["faces_found"] = found[0] / found[1]
    voiced = [voiced_share(u) for u in utterances]
    figures |= {"voiced_mean": np.mean(voiced), "voiced_least": min(voiced)}
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="keep the corpora here")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in options.seeds:
            folder = (options.folder or Path(scratch)) / f"demo-{options.n}-{seed}"
            rows.append(measure(seed, options.n, folder))
            print(
                f"seed {seed}:", {name: round(float(value), 3) for name, value in rows[-1].items()}
            )
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name == "make":
            print(f"figure demo_make = {min(values):.1f} s")
            continue
        print(f"figure {name} = {np.mean(values):.3f} (lowest of {len(rows)}: {min(values):.3f})")
    margin = min(r["r_fused"] - max(r["r_text"], r["r_audio"], r["r_vision"]) for r in rows)
    print(f"figure fused_over_best_modality_at_least = {margin:.3f} r")


if __name__ == "__main__":
    main()
