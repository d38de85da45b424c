import gc
import inspect
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, BadMedia
from affectflow.extract import media, pictures, sound
from affectflow.extract.media import MediaInfo, probe, read_audio, read_pictures
from affectflow.extract.pictures import on_grid
from affectflow.extract.resample import BLOCK

CLIPS = Path(__file__).parents[2].parent / "shared" / "clips"
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason="the real clips are not here")


def sine(frequency, seconds, rate, amplitude=0.5):
    times = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def grey(value, size=(64, 48)):
    return np.full((size[1], size[0], 3), value, np.uint8)


def counted(n, size=(64, 48)):
    """Pictures whose brightness says their number."""
    return [grey(20 + 4 * k, size) for k in range(n)]


def read_frames(path, rate, start=None, end=None):
    """Frames of a file, as a clip gives them."""
    return on_grid(read_pictures(path, start, end), rate, start or 0.0, end)


def numbers(frames):
    return [round((f.image.mean() - 20) / 4) for f in frames]


# --- probe ------------------------------------------------------------------------------------


def test_probe_says_what_a_clip_holds(clip_path):
    assert probe(clip_path) == MediaInfo(2.0, True, True, 160, 120, 25.0, 44100, 1)


def test_probe_says_what_a_wav_holds(tone_wav):
    assert probe(tone_wav) == MediaInfo(2.0, True, False, 0, 0, 0.0, 44100, 1)


def test_the_cover_of_an_album_is_no_video(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as out:
        audio = out.add_stream("libmp3lame", rate=44100, layout="mono")
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(grey(9, (32, 32)), "rgb24")))
        for packet in encoded(audio, sine(440, 1, 44100), 44100):
            out.mux(packet)
    assert not probe(path).has_video
    assert probe(path).has_audio


def encoded(stream, sound, rate, start=0.0):
    frame = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(start * rate)
    convert = av.AudioResampler(stream.format.name, "mono", rate, stream.frame_size or 1024)
    for piece in [*convert.resample(frame), *convert.resample(None)]:
        yield from stream.encode(piece)
    yield from stream.encode(None)


# --- sound ------------------------------------------------------------------------------------


def test_a_wav_at_its_own_rate_comes_out_as_it_went_in(tone_wav):
    wave = read_audio(tone_wav, 44100)
    assert (wave.rate, wave.samples.dtype, wave.duration) == (44100, np.float32, 2.0)
    np.testing.assert_allclose(wave.samples, sine(440, 2, 44100), atol=0.6 / 32768)


def test_a_tone_keeps_its_phase_and_level_when_it_is_resampled(tone_wav):
    wave = read_audio(tone_wav, 16000)
    inside = slice(500, -500)  # the tone breaks off at the ends
    np.testing.assert_allclose(wave.samples[inside], sine(440, 2, 16000)[inside], atol=2e-5)


@pytest.mark.parametrize(
    ("codec", "step"),
    [
        ("pcm_u8", 2**-7),
        ("pcm_s16le", 2**-15),
        ("pcm_s24le", 2**-23),
        ("pcm_s32le", 2**-24),
        ("pcm_f32le", 2**-24),
        ("pcm_f64le", 2**-24),
    ],
)
def test_every_sample_format_is_scaled_to_full_scale_one(tmp_path, make_clip, codec, step):
    sound = sine(440, 0.25, 8000, amplitude=0.99)
    path = make_clip(tmp_path / "a.wav", sound=sound, audio_rate=8000, audio_codec=codec)
    np.testing.assert_allclose(read_audio(path, 8000).samples, sound, atol=step)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_u8", "pcm_f32le"])
def test_channels_are_averaged(tmp_path, make_clip, codec):
    left, right = np.full(4000, 0.5), np.full(4000, -0.25)
    path = make_clip(tmp_path / "a.wav", sound=[left, right], audio_rate=8000, audio_codec=codec)
    np.testing.assert_allclose(read_audio(path, 8000).samples, 0.125, atol=2**-7)


def test_float_sound_may_pass_full_scale(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.wav", sound=np.full(4000, 1.5), audio_rate=8000,
                     audio_codec="pcm_f32le")  # fmt: skip
    np.testing.assert_array_equal(read_audio(path, 8000).samples, np.float32(1.5))


def test_aac_has_neither_delay_nor_padding(clip_path):
    wave = read_audio(clip_path, 44100)
    assert len(wave.samples) == 88200
    inside = slice(4000, -4000)
    np.testing.assert_allclose(wave.samples[inside], sine(440, 2, 44100)[inside], atol=0.05)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mp3", "a.ogg", "a.flac", "a.wav", "a.ts"])
def test_a_segment_is_a_slice_of_the_whole_bit_for_bit(tmp_path, make_clip, name):
    codecs = {"a.mp3": "libmp3lame", "a.ogg": "libopus", "a.flac": "flac", "a.wav": "pcm_s16le"}
    rng = np.random.default_rng(1)
    sound = (0.1 * rng.standard_normal(7 * 48000)).astype(np.float32)
    path = make_clip(
        tmp_path / name, sound=sound, audio_rate=48000, audio_codec=codecs.get(name, "aac")
    )
    for rate in (16000, 48000):
        complete = read_audio(path, rate).samples
        for start, end in [(0.0, 1.0), (0.123, 4.567), (4.0, 6.0), (3.99, 6.5), (6.2, None)]:
            piece = read_audio(path, rate, start, end).samples
            last = None if end is None else round(end * rate)
            np.testing.assert_array_equal(piece, complete[round(start * rate) : last])


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_long_sound_is_brought_to_its_rate_while_it_comes_in(
    tmp_path, make_clip, monkeypatch, rate
):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 30 * 44100).astype("f4")
    path = make_clip(tmp_path / "a.wav", sound=noise, audio_codec="pcm_f32le")
    spans = [(None, None), (3.0, 27.3), (0.1, 8.0), (4.0, None)]
    at_once = [read_audio(path, rate, *span).samples for span in spans]
    monkeypatch.setattr(sound, "CHUNK", 2 * BLOCK)
    held = []

    class Watched(sound.Line):
        def add(self, item):
            held.append(sum(len(piece) for _, piece in self.pieces))
            return super().add(item)

    monkeypatch.setattr(media, "Line", Watched)
    for span, whole in zip(spans, at_once, strict=True):
        np.testing.assert_array_equal(read_audio(path, rate, *span).samples, whole)
    assert 8 * 44100 < max(held) < 11 * 44100


def test_a_segment_that_passes_the_end_is_as_long_as_the_sound(tone_wav):
    assert read_audio(tone_wav, 16000, 1.5, 2.5).duration == pytest.approx(0.5)


def test_a_gap_is_silence_and_what_follows_keeps_its_time(tmp_path):
    path, rate = tmp_path / "gap.mkv", 16000
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for start in (0.0, 1.5):
            frame = av.AudioFrame.from_ndarray(
                np.full((1, rate // 2), 8192, np.int16), "s16", "mono"
            )
            frame.sample_rate, frame.pts = rate, round(start * rate)
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    samples = read_audio(path, rate).samples
    assert len(samples) == 2 * rate
    np.testing.assert_array_equal(samples.reshape(4, -1)[[0, 3]], 0.25)
    np.testing.assert_array_equal(samples.reshape(4, -1)[[1, 2]], 0)


LATE = [
    (name, sound_at, pictures_at)
    for name in ("a.mp4", "a.mov", "a.mkv", "a.ts", "a.mpg")
    for sound_at, pictures_at in ((0.0, 0.0), (0.4, 0.0), (0.0, 0.4))
    if not (name == "a.mpg" and pictures_at)  # MPEG-1's encoder begins at 0
]


@pytest.mark.parametrize(("name", "sound_at", "pictures_at"), LATE)
def test_a_beep_and_a_flash_of_one_instant_come_at_one_time(
    tmp_path, make_clip, name, sound_at, pictures_at
):
    sound = np.zeros(2 * 44100, np.float32)
    at = round((1.2 - sound_at) * 44100)
    sound[at : at + 2205] = sine(1000, 0.05, 44100)  # 50 ms from 1.2 s on
    times = [pictures_at + k / 25 for k in range(45)]
    pictures = [grey(235 if 1.2 - 1e-9 <= t < 1.28 else 20) for t in times]
    kinds = {"video_codec": "mpeg1video", "audio_codec": "mp2"} if name == "a.mpg" else {}
    path = make_clip(
        tmp_path / name, pictures=pictures, sound=sound, times=times, audio_start=sound_at, **kinds
    )
    loud = np.abs(read_audio(path, 16000).samples) > 0.2
    flash = [f.shown for f in read_frames(path, 25) if f.image.mean() > 128]
    beep = np.flatnonzero(loud)[0] / 16000
    assert beep == pytest.approx(flash[0], abs=0.002)
    if name != "a.ts" and name != "a.mpg":  # these start their clock a little before
        assert beep == pytest.approx(1.2, abs=0.002)


def test_sound_that_starts_later_begins_with_silence(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", pictures=counted(25), sound=np.full(22050, 0.5),
                     audio_start=0.5)  # fmt: skip
    samples = read_audio(path, 44100).samples
    assert np.abs(samples[: 22050 - 2100]).max() == 0
    assert samples[22050 + 2100 : 40000].mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rate", [0, -1, 16000.5, None])
def test_a_rate_of_sound_that_is_none_is_refused(tone_wav, rate):
    with pytest.raises(BadCall, match="rate of sound must be a whole number of Hz above 0, not"):
        read_audio(tone_wav, rate)


def test_values_that_are_no_numbers_are_named(tmp_path, make_clip):
    sound = np.full(4000, np.nan, np.float32)
    path = make_clip(tmp_path / "a.wav", sound=sound, audio_rate=8000, audio_codec="pcm_f32le")
    with pytest.raises(BadMedia, match=r"a.wav' holds values that are no numbers \(NaN or inf\)"):
        read_audio(path, 8000)


# --- pictures ---------------------------------------------------------------------------------


def test_at_the_files_own_rate_each_picture_comes_once(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", pictures=counted(50))
    frames = list(read_frames(path, 25))
    assert numbers(frames) == [f.index for f in frames] == list(range(50))
    np.testing.assert_allclose([f.time for f in frames], np.arange(50) / 25)
    np.testing.assert_allclose([f.shown for f in frames], np.arange(50) / 25)
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.flags.c_contiguous


@pytest.mark.parametrize("rate", [5, 10, 24, 30, 60, 29.97])
def test_a_grid_step_shows_the_picture_that_a_player_shows_then(tmp_path, make_clip, rate):
    path = make_clip(tmp_path / "a.mp4", pictures=counted(50))
    frames = list(read_frames(path, rate))
    wanted = [int((k / rate + 0.001) * 25) for k in range(int(np.ceil(2 * rate - 1e-6)))]
    assert numbers(frames) == [f.index for f in frames] == wanted


def test_steps_that_show_the_same_picture_share_one_array(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", pictures=counted(4))
    frames = list(read_frames(path, 50))
    assert [f.index for f in frames] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert frames[0].image is frames[1].image
    assert frames[1].image is not frames[2].image


def test_variable_frame_rate_keeps_true_times(tmp_path, make_clip):
    times = [0.0, 0.05, 0.30, 0.34, 0.90, 1.00]
    path = make_clip(tmp_path / "a.mp4", pictures=counted(6), times=times)
    frames = list(read_frames(path, 10))
    assert numbers(frames)[:11] == [0, 1, 1, 2, 3, 3, 3, 3, 3, 4, 5]
    np.testing.assert_allclose([f.shown for f in frames], [times[f.index] for f in frames])


def test_times_rounded_to_milliseconds_repeat_and_skip_no_picture(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mkv", pictures=counted(45), fps=30)
    assert numbers(read_frames(path, 30)) == list(range(45))


def test_the_first_picture_also_serves_earlier_times(tmp_path, make_clip):
    times = [0.4 + k / 25 for k in range(25)]
    path = make_clip(
        tmp_path / "a.mp4", pictures=counted(25), times=times, sound=sine(440, 1.5, 44100)
    )
    frames = list(read_frames(path, 25))
    assert numbers(frames)[:12] == [0] * 11 + [1]
    assert frames[0].shown == pytest.approx(0.4)
    assert len(frames) == 35


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mpg", "a.ts", "a.avi"])
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (1.23, 1.9), (2.5, None), (2.96, 5.0)])
def test_a_segment_shows_what_the_whole_shows(tmp_path, make_clip, name, start, end):
    codec = {"a.mpg": "mpeg1video", "a.avi": "mpeg4"}.get(name, "libx264")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(75)]
    later = 0 if name == "a.avi" else 2  # an AVI's B pictures would begin after 0
    path = make_clip(tmp_path / name, pictures=pictures, video_codec=codec, gop=12, b_frames=later)
    source = list(read_frames(path, 25))
    segment = list(read_frames(path, 10, start, end))
    assert segment
    first = segment[0].shown + start
    for k, frame in enumerate(segment):
        assert frame.time == k / 10
        begun = [f for f in source if f.shown <= start + k / 10 + 0.001]
        np.testing.assert_array_equal(frame.image, begun[-1].image)
        assert frame.shown + start == pytest.approx(begun[-1].shown)
        skipped = [f for f in source if first - 1e-9 <= f.shown < begun[-1].shown - 1e-9]
        assert frame.index == len({f.index for f in skipped})


CORNERS = {"red": (0, 0), "green": (0, -1), "blue": (-1, 0), "white": (-1, -1)}


def corners(size=(64, 48)):
    image = grey(0, size)
    height, width = size[1] // 2, size[0] // 2
    image[:height, :width] = (220, 30, 30)
    image[:height, width:] = (30, 200, 30)
    image[height:, :width] = (30, 30, 220)
    image[height:, width:] = (230, 230, 230)
    return image


def names_of_corners(image):
    """Names of the colours, clockwise from the left upper corner."""
    height, width = image.shape[:2]
    found = []
    for y, x in [(8, 8), (8, width - 8), (height - 8, width - 8), (height - 8, 8)]:
        r, g, b = image[y, x].astype(int)
        bright = sum(int(part) > 120 for part in (r, g, b))
        found.append("white" if bright == 3 else ("red", "green", "blue")[np.argmax((r, g, b))])
    return found


@pytest.mark.parametrize(
    ("turn", "wanted", "shape"),
    [
        (0, ["red", "green", "white", "blue"], (48, 64, 3)),
        (90, ["blue", "red", "green", "white"], (64, 48, 3)),
        (180, ["white", "blue", "red", "green"], (48, 64, 3)),
        (270, ["green", "white", "blue", "red"], (64, 48, 3)),
        ("mirror", ["green", "red", "blue", "white"], (48, 64, 3)),
        ("upside down", ["blue", "white", "green", "red"], (48, 64, 3)),
    ],
)
def test_pictures_are_upright(tmp_path, make_clip, turn, wanted, shape):
    path = make_clip(tmp_path / "a.mp4", pictures=[corners()] * 3, pix_fmt="yuv444p", rotation=turn)
    image = next(iter(read_frames(path, 25))).image
    assert image.shape == shape
    assert names_of_corners(image) == wanted


@pytest.mark.parametrize("size", [(161, 121), (63, 47), (162, 121), (17, 33)])
def test_odd_sizes_keep_every_pixel(tmp_path, make_clip, size):
    path = make_clip(
        tmp_path / "a.mp4", pictures=[corners(size)] * 3, pix_fmt="yuv444p", b_frames=0
    )
    frames = list(read_frames(path, 25))
    assert frames[0].image.shape == (size[1], size[0], 3)
    error = np.abs(frames[0].image.astype(int) - corners(size))
    assert error.mean() < 4


def test_colours_come_out_as_they_went_in(tmp_path, make_clip):
    wanted = corners()
    path = make_clip(tmp_path / "a.mp4", pictures=[wanted] * 3)
    image = next(iter(read_frames(path, 25))).image.astype(int)
    for y, x in [(8, 8), (8, 56), (40, 8), (40, 56)]:
        assert np.abs(image[y, x] - wanted[y, x]).max() <= 6


def test_pictures_are_decoded_one_at_a_time(clip_path, monkeypatch):
    converted = []
    upright = pictures.upright
    monkeypatch.setattr(pictures, "upright", lambda *a: converted.append(1) or upright(*a))
    frames = read_frames(clip_path, 25)
    assert inspect.isgenerator(frames)
    next(frames)
    next(frames)
    assert len(converted) == 2
    frames.close()


def test_pictures_that_were_read_are_let_go_without_the_garbage_collector(clip_path):
    from av.video.frame import VideoFrame

    gc.collect()
    gc.disable()
    try:
        before = sum(type(item) is VideoFrame for item in gc.get_objects())
        for _ in read_frames(clip_path, 25):
            pass
        left = sum(type(item) is VideoFrame for item in gc.get_objects()) - before
    finally:
        gc.enable()
    assert left <= 3  # of 50


def test_only_pictures_that_are_used_are_converted(clip_path, monkeypatch):
    converted = []
    upright = pictures.upright
    monkeypatch.setattr(pictures, "upright", lambda *a: converted.append(1) or upright(*a))
    assert len(list(read_frames(clip_path, 5))) == len(converted) == 10
    assert len(list(read_frames(clip_path, 100))) == 200
    assert len(converted) == 60


@pytest.mark.parametrize("rate", [0, -5, float("nan"), float("inf")])
def test_a_rate_of_frames_that_is_none_is_refused(clip_path, rate):
    with pytest.raises(BadCall, match="rate of frames must be a number of Hz above 0, not"):
        next(read_frames(clip_path, rate))


# --- segments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [read_audio, lambda *a: list(read_frames(*a))])
def test_a_segment_outside_the_clip_says_where_it_ends(clip_path, read):
    with pytest.raises(BadInput, match=r"segment from 5 s to 6 s .* they end at 2.00 s"):
        read(clip_path, 25, 5.0, 6.0)


@pytest.mark.parametrize("read", [read_audio, lambda *a: list(read_frames(*a))])
def test_a_segment_that_ends_before_it_starts_is_refused(clip_path, read):
    with pytest.raises(BadInput, match=r"end \(1.0 s\) must come after its start \(1.5 s\)"):
        read(clip_path, 25, 1.5, 1.0)
    with pytest.raises(BadInput, match="must start at 0 s or later, not at -1.0 s"):
        read(clip_path, 25, -1.0, 1.0)


# --- real clips -------------------------------------------------------------------------------


@needs_clips
@pytest.mark.parametrize(
    ("name", "seconds", "n_frames"),
    [("Raw/grid/swwp2s.mpg", 2.978, 75), ("odd/many_faces.mp4", 10.008, 251)],
)
def test_real_clips_have_the_length_that_they_say(name, seconds, n_frames):
    assert read_audio(CLIPS / name, 16000).duration == pytest.approx(seconds, abs=1e-3)
    assert sum(1 for _ in read_frames(CLIPS / name, 25)) == n_frames


@needs_clips
def test_a_real_variable_frame_rate_keeps_true_times():
    path = CLIPS / "odd" / "face_then_none.mov"
    frames = list(read_frames(path, 30, 0.0, 3.0))
    shown = np.array([f.shown for f in frames])
    assert len(frames) == 90
    assert np.all(shown <= np.arange(90) / 30 + pictures.TOLERANCE)
    assert np.all(np.diff(shown) >= 0)
    sound = read_audio(path, 16000).samples  # it starts 2.43 s after the pictures
    assert np.flatnonzero(np.abs(sound) > 1e-3)[0] / 16000 == pytest.approx(2.43, abs=0.02)
