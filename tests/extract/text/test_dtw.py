import numpy as np
import pytest

from affectflow.extract.text.dtw import places, warp


def every_path(n_rows, n_frames):
    """All monotonic paths from corner to corner."""
    if (n_rows, n_frames) == (1, 1):
        return [[(0, 0)]]
    found = []
    for down, right in ((1, 0), (0, 1), (1, 1)):
        if n_rows > down and n_frames > right:
            for path in every_path(n_rows - down, n_frames - right):
                found.append([*path, (n_rows - 1, n_frames - 1)])
    return found


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 5), (4, 4), (5, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_finds_the_cheapest_of_all_paths(shape, seed):
    costs = np.random.default_rng(seed).standard_normal(shape)
    best = min(every_path(*shape), key=lambda path: sum(costs[cell] for cell in path))
    wanted = [min(frame for row, frame in best if row == r) for r in range(shape[0])]
    assert warp(costs).tolist() == wanted


def test_agrees_with_the_library():
    from transformers.models.whisper.generation_whisper import _dynamic_time_warping

    random = np.random.default_rng(0)
    for _ in range(10):
        costs = random.standard_normal((random.integers(1, 15), random.integers(1, 40)))
        rows, frames = _dynamic_time_warping(costs)
        jumps = np.diff(rows, prepend=-1) > 0
        np.testing.assert_array_equal(warp(costs), frames[jumps])


def test_follows_a_head_that_looks_at_what_it_writes():
    n_rows, n_places = 8, 60
    looks = np.full((2, n_rows, n_places), 0.002)
    for row in range(3, n_rows):
        looks[:, row, 10 * (row - 3) : 10 * (row - 2)] += 0.1
    looks[:, :, 50:] = 0.5  # padding: nobody speaks there
    found = places(looks, n_prompt=3, n_places=50, width=7)
    np.testing.assert_allclose(found, 10 * np.arange(5), atol=1)


def test_little_sound_and_even_looks_are_no_error():
    assert places(np.ones((1, 4, 30)), 2, 1, 7).tolist() == [0, 0]
