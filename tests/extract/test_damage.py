"""Files that are damaged somewhere in the middle: what can be read is kept, the rest is said."""

from fnmatch import fnmatch
from fractions import Fraction

import numpy as np
import pytest

from affectflow.cache.errors import BadMedia
from affectflow.extract.clip import Clip
from affectflow.extract.damage import Faults
from affectflow.extract.decoding import Decoded
from affectflow.extract.media import read_pictures
from affectflow.extract.pictures import on_grid

N = 50


def moving(n=N, size=(64, 48)):
    """A pattern that moves, so that no picture is like another."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (size[1] // 8, size[0] // 8 + n, 3), np.uint8)
    wide = grey.repeat(8, 0).repeat(8, 1)
    return [np.ascontiguousarray(wide[:, 3 * k : 3 * k + size[0]]) for k in range(n)]


def packets(path):
    """Place, size and time in pictures of each packet, in order of decoding, and whether a key."""
    import av

    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        zero = stream.start_time or 0
        return [
            (p.pos, p.size, round(float((p.pts - zero) * p.time_base) * 25), p.is_keyframe)
            for p in file.demux(stream)
            if p.size
        ]


def damaged(path, *spans):
    """A copy of a file with zeros in some spans of bytes."""
    data = bytearray(path.read_bytes())
    for first, last in spans:
        data[first:last] = bytes(last - first)
    copy = path.with_name(f"damaged-{path.name}")
    copy.write_bytes(data)
    return copy


def all_frames(path, start=None, end=None):
    return list(on_grid(read_pictures(path, start, end), 25, start or 0.0, end))


@pytest.fixture(scope="module")
def file(tmp_path_factory, make_clip):
    """An mp4 of 2 s with a key picture every 10 and B frames."""
    return make_clip(tmp_path_factory.mktemp("damage") / "a.mp4", pictures=moving())


@pytest.fixture(scope="module")
def hurt(file):
    """The same with one packet zeroed: that of a picture on which others are built."""
    place, size, number, _ = next(p for p in packets(file) if p[2] > 20 and not p[3])
    assert 20 < number < 26
    return damaged(file, (place, place + size)), number


def test_from_a_fault_to_the_next_key_picture_nothing_is_readable(file, hurt):
    path, number = hurt
    frames, clean = all_frames(path), all_frames(file)
    assert [f.time for f in frames] == [f.time for f in clean]
    readable = [f.readable for f in frames]
    first = readable.index(False)
    assert first <= number
    assert readable == [True] * first + [False] * (30 - first) + [True] * 20
    assert {f.image.max() for f in frames if not f.readable} == {0}
    assert len({f.index for f in frames if not f.readable}) == 1
    for one, other in zip(frames, clean, strict=True):
        if one.readable:
            np.testing.assert_array_equal(one.image, other.image)


def test_the_clip_warns_each_that_reads_it_of_the_span(hurt):
    clip = Clip("a", str(hurt[0]), 0.2, 1.8)
    for _ in range(2):  # decoded, then kept
        clip.warnings.clear()
        frames = list(clip.frames(10))
        said = "the file is damaged: 0.?? s of its pictures could not be read (0.??-1.00 s); rows*"
        assert [fnmatch(warning, said) for warning in clip.warnings] == [True]
        assert [f.time for f in frames if not f.readable][-1] == pytest.approx(0.9)
    list(clip.frames(10))
    assert len(clip.warnings) == 1


def test_a_segment_without_the_damage_is_whole_and_one_within_it_is_refused(hurt):
    path, _ = hurt
    for start, end in ((0.0, 0.8), (1.2, 2.0)):
        clip = Clip("a", str(path), start, end)
        assert all(f.readable for f in clip.frames(25))
        assert clip.warnings == []
    with pytest.raises(BadMedia, match=r"0.00 s of 0.12 s of pictures could be decoded; copy or"):
        list(Clip("a", str(path), 1.04, 1.16).frames(25))


def test_damage_at_the_beginning_has_pictures_of_the_size_that_follows(file):
    place, size, *_ = packets(file)[0]
    frames = all_frames(damaged(file, (place, place + size)))
    assert [f.readable for f in frames] == [False] * 10 + [True] * 40
    assert {f.image.shape for f in frames} == {(48, 64, 3)}


def test_damage_at_the_end_keeps_the_length(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", pictures=moving(), b_frames=0, gop=250)
    place, size, *_ = packets(path)[30]
    frames = all_frames(damaged(path, (place, place + size)))
    assert [f.readable for f in frames] == [True] * 30 + [False] * 20


def test_a_segment_from_a_moment_before_the_damage_has_pictures_of_the_files_size(
    tmp_path, make_clip
):
    file = make_clip(tmp_path / "a.mp4", pictures=moving(), b_frames=0, gop=250)
    path = damaged(file, *[(place, place + size) for place, size, *_ in packets(file)[30:]])
    frames = all_frames(path, 30 / 25 - 0.0005)
    assert [frame.readable for frame in frames] == [False] * 21
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mkv", {}), ("a.ts", {}), ("b.ts", {"video_codec": "mpeg2video"})],
)
def test_other_formats_never_show_a_smear_of_a_part_that_is_all_zeros(
    tmp_path, make_clip, name, kind
):
    path = make_clip(tmp_path / name, pictures=moving(75), **kind)
    clean = all_frames(path)
    size = path.stat().st_size
    frames = all_frames(damaged(path, (size * 45 // 100, size * 55 // 100)))
    lost = [f for f in frames if not f.readable]
    assert 1 <= len(lost) <= 30
    assert len(frames) == len(clean)
    for one, other in zip(frames, clean, strict=True):
        if one.readable:
            np.testing.assert_array_equal(one.image, other.image)


class Picture:
    def __init__(self, corrupt=False, key=False):
        self.is_corrupt, self.key_frame = corrupt, key


def trusted(faults, decoded, shown, corrupt=()):
    """Which pictures are trusted: ``decoded`` says P, B, K for each time in order of decoding."""
    ready = []
    for time, key, refused in decoded:
        faults.come(Fraction(time), key, damaged=False)
        if refused:
            faults.refuse(Fraction(time))
    for time in shown:
        key = any(t == time and k for t, k, _ in decoded)
        item = Decoded(Picture(time in corrupt, key), Fraction(time), Fraction(1))
        ready.append(faults.trusts(item))
    return "".join("+" if sure else "-" for sure in ready)


#: Decoded as K0 P3 B1 B2 P6 B4 B5 K9 B7 B8 P12 B10 B11: an open group, B7 and B8 need P6.
OPEN = [(t, t in (0, 9), False) for t in (0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11)]


@pytest.mark.parametrize(
    ("corrupt", "wanted"),
    [
        ((), "+++++++++++++"),
        ((6,), "++++++---++++"),
        ((3,), "+++------++++"),
        ((9,), "+++++++++----"),
    ],
)
def test_pictures_decoded_after_a_patched_one_are_not_trusted(corrupt, wanted):
    assert trusted(Faults(), OPEN, range(13), corrupt) == wanted


def test_after_a_refused_packet_those_shown_before_it_may_be_faulty_too():
    decoded = [(t, key, t == 3) for t, key, _ in OPEN]
    shown = [t for t in range(13) if t != 3]
    faults = Faults()
    assert trusted(faults, decoded, shown) == "+" + "-" * 7 + "++++"
    assert faults.dropped_before(None) == list(range(1, 9))
    assert faults.dropped_before(None) == []


def test_where_pictures_come_evenly_one_that_is_missing_is_a_fault():
    decoded = [(t, t in (0, 9), False) for t in range(13) if t not in (4, 5)]
    shown = [t for t, _, _ in decoded]
    assert trusted(Faults(), decoded, shown) == "+" * 11
    assert trusted(Faults(Fraction(3, 2)), decoded, shown) == "++++---++++"
