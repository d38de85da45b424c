import itertools

import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.extract.text.ctc import align, greedy


def log_posteriors(n_frames, n_labels, seed=0, sharp=2.0):
    logits = sharp * np.random.default_rng(seed).standard_normal((n_frames, n_labels))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def imposed(path, n_labels, peak=0.9):
    """Posteriors that put ``peak`` on each frame's label."""
    probs = np.full((len(path), n_labels), (1 - peak) / (n_labels - 1))
    probs[np.arange(len(path)), path] = peak
    return np.log(probs)


def collapsed(path, blank=0):
    return [label for label, _ in itertools.groupby(path) if label != blank]


def best_path(log_probs, tokens):
    """By trying every path: the likeliest that collapses to the tokens."""
    n_frames, n_labels = log_probs.shape
    paths = (
        path
        for path in itertools.product(range(n_labels), repeat=n_frames)
        if collapsed(path) == list(tokens)
    )
    return max(paths, key=lambda p: log_probs[np.arange(n_frames), p].sum())


def spans_of(path):
    """First frame and one past the last of each token of a path."""
    found, at = [], 0
    for label, run in itertools.groupby(path):
        n = len(list(run))
        if label:
            found.append((at, at + n))
        at += n
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("tokens", [(1,), (1, 2), (1, 1), (2, 1, 2)])
def test_finds_the_likeliest_of_all_paths(tokens, seed):
    log_probs = log_posteriors(6, 3, seed)
    wanted = best_path(log_probs, tokens)
    found = align(log_probs, tokens)
    assert list(zip(found.starts, found.ends, strict=True)) == spans_of(wanted)
    assert found.log_prob == pytest.approx(log_probs[np.arange(6), wanted].sum())


def test_finds_an_imposed_path_to_the_frame():
    path = [0, 0, 3, 3, 3, 0, 1, 2, 2, 0, 0, 2, 0]
    found = align(imposed(path, 4), [3, 1, 2, 2])
    assert found.starts.tolist() == [2, 6, 7, 11]
    assert found.ends.tolist() == [5, 7, 9, 12]
    np.testing.assert_allclose(found.scores, 0.9)


@pytest.mark.parametrize("cells", [1, 50, 400, 1 << 20])
def test_the_same_path_whatever_is_kept(cells):
    random = np.random.default_rng(3)
    log_probs = log_posteriors(397, 12, 1).astype(np.float32)
    tokens = random.integers(1, 12, 60).tolist()
    wanted = align(log_probs, tokens)
    found = align(log_probs, tokens, cells=cells)
    np.testing.assert_array_equal(found.starts, wanted.starts)
    np.testing.assert_array_equal(found.ends, wanted.ends)
    assert found.log_prob == wanted.log_prob


def test_tokens_follow_each_other_without_overlap():
    random = np.random.default_rng(5)
    found = align(log_posteriors(300, 8, 2), random.integers(1, 8, 90).tolist())
    assert (found.ends > found.starts).all()
    assert (found.starts[1:] >= found.ends[:-1]).all()
    assert ((found.scores > 0) & (found.scores <= 1)).all()


def test_another_blank():
    path = [2, 0, 2, 1, 1]
    found = align(imposed(path, 3), [0, 1], blank=2)
    assert (found.starts.tolist(), found.ends.tolist()) == ([1, 3], [2, 5])


def test_one_frame_is_enough_for_one_token():
    found = align(imposed([1], 2), [1])
    assert (found.starts.tolist(), found.ends.tolist()) == ([0], [1])


def test_equal_tokens_need_a_frame_between_them():
    with pytest.raises(BadInput, match="3 tokens need at least 4 frames, the sound has 3"):
        align(imposed([1, 1, 2], 3), [1, 1, 2])


def test_nothing_to_align_is_refused():
    with pytest.raises(BadInput, match="no token to align"):
        align(imposed([0, 1], 2), [])


def test_a_transcript_that_is_impossible_is_refused():
    log_probs = np.log(
        np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]),
        where=[True, True, False],
        out=np.full((2, 3), -np.inf),
    )
    with pytest.raises(BadInput, match="no path of this transcript"):
        align(log_probs, [2])


def test_posteriors_that_are_not_numbers_are_refused():
    with pytest.raises(BadInput, match="hold NaN"):
        align(np.full((3, 2), np.nan), [1])


def test_reads_greedily_what_was_imposed():
    tokens, found = greedy(imposed([0, 3, 3, 0, 3, 1, 1], 4))
    assert tokens.tolist() == [3, 3, 1]
    assert found.starts.tolist() == [1, 4, 5]
    assert found.ends.tolist() == [3, 5, 7]
    np.testing.assert_allclose(found.scores, 0.9)


def test_reads_nothing_in_blanks():
    tokens, found = greedy(imposed([0, 0], 3))
    assert len(tokens) == len(found.starts) == 0
