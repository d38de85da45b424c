"""What every extractor that looks at pictures does with files that are unusual or broken."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadInput, BadMedia, NoAudio, NoFace, NoVideo
from affectflow.extract.clip import FRAMES_KEPT, Clip, Waveform
from affectflow.extract.registry import EXTRACTORS, extractor
from affectflow.extract.vision import video_network

RATE = 10.0
#: Those that read the one face of each picture from another node, and pictures themselves.
LOOK = ["face-crops", "face-hog", "face-embedding", "hf-vision", "swin3d"]
#: Those that take one of the tracks.
CHOOSE = ["largest-face", "mouth-motion", "active-speaker"]
ALL = ["mtcnn-face", "faces", *LOOK, *CHOOSE, "face-geometry"]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """The function: an extractor by its name, with tiny random weights where it needs some."""
    from torchvision.models import video

    from affectflow.extract.vision.lr_asd import LrAsd

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)

    def swin():
        return video.SwinTransformer3d([2, 4, 4], 12, [2, 2], [2, 2], [8, 7, 7])

    patch = pytest.MonkeyPatch()
    kind = dataclasses.replace(video_network.KINDS["swin3d_t"], width=24)
    patch.setitem(video_network.KINDS, "swin3d_t", kind)
    patch.setattr(video, "swin3d_t", swin)
    torch.save(swin().state_dict(), folder / "swin.pth")
    torch.save(LrAsd().state_dict(), folder / "asd.model")
    save_vit(folder / "vit")
    save_mobile(folder / "mobile.pth")
    network = "torchvision/mobilenet_v3_small"
    settings = {
        "swin3d": {"checkpoint": str(folder / "swin.pth"), "size": 32, "rate": RATE},
        "active-speaker": {"checkpoint": str(folder / "asd.model")},
        "hf-vision": {"model": str(folder / "vit"), "rate": RATE},
        "face-embedding": {"checkpoint": str(folder / "mobile.pth"), "network": network},
    }
    yield lambda name, **more: extractor(name, **settings.get(name, {}), **more)
    patch.undo()


def save_vit(folder):
    import transformers

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    size |= {"intermediate_size": 32, "image_size": 32, "patch_size": 8}
    transformers.ViTModel(transformers.ViTConfig(**size)).save_pretrained(folder)
    prepared = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    prepared["crop_size"] = {"height": 32, "width": 32}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))


def save_mobile(path):
    from torchvision.models import mobilenet_v3_small

    torch.save(mobilenet_v3_small().state_dict(), path)


def sound(seconds):
    times = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 200 * times) * np.sin(2 * np.pi * 3 * times)).astype("f4")


def heads(portrait, n, size=256):
    """The portrait, cut to ``size`` and moved to the right a little more in each picture."""
    return [np.ascontiguousarray(np.roll(portrait[:size, :size], k, axis=1)) for k in range(n)]


def seen(clip, **settings):
    """The clip with what the finders of faces say of it as its features."""
    given = {"min_size": 60.0, **settings}
    clip.features["tracks"] = extractor("faces", **given).extract(clip)
    clip.features["faces"] = extractor("mtcnn-face", **given).extract(clip)
    return clip


def masks(found):
    """Start of each row and whether it has a value."""
    return dict(zip(found.times[:, 0].round(3).tolist(), found.mask.tolist(), strict=True))


def test_every_extractor_that_reads_pictures_is_tested_here():
    """Those left out decode the file by a program, need an extra, or share their code and tests."""
    apart = {"openface2", "face-landmarks", "action-units", "r2plus1d", "mvit"}
    vision = {name for name, (module, _) in EXTRACTORS.items() if module.startswith("vision.")}
    assert vision - apart == set(ALL)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("largest-face", "face-geometry")])
def test_memory_is_declared_for_the_pictures_that_a_clip_keeps_too(node, name):
    assert node(name).peak_memory >= FRAMES_KEPT + (256 << 20)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("largest-face", "face-geometry")])
def test_a_file_with_sound_only_has_no_video(node, name, tone_wav, still_faces, make_tracks):
    clip = Clip("talk", str(tone_wav))
    clip.features["faces"] = still_faces(4, (8, 8, 40, 40), (48, 64))
    clip.features["tracks"] = make_tracks(4, {1: (0, 4, (8, 8, 40, 40))})
    with pytest.raises(NoVideo, match=r"tone.wav' has no video stream \(it has: audio\)"):
        node(name).extract(clip)


@pytest.mark.parametrize("name", ["mouth-motion", "active-speaker"])
def test_pictures_without_sound_are_said(node, name, portrait, tmp_path, write_file):
    clip = seen(Clip("talk", str(write_file(tmp_path / "mute.mp4", pictures=heads(portrait, 3)))))
    with pytest.raises(NoAudio, match=r"mute.mp4' has no audio stream \(it has: video\)"):
        node(name).extract(clip)


@pytest.fixture(scope="module")
def one(portrait, tmp_path_factory, write_file):
    """A film of one picture."""
    path = tmp_path_factory.mktemp("one") / "one.mp4"
    film = {"pictures": heads(portrait, 1), "sound": sound(0.04), "audio_rate": 16_000}
    return seen(Clip("one", str(write_file(path, **film))))


@pytest.mark.parametrize("name", ALL)
def test_one_picture_is_one_row(node, name, one):
    found = node(name).extract(one)
    assert found.mask.tolist() == [True]
    assert np.isfinite(found.values.astype(float)).all()
    assert found.times[0, 0] == 0


@pytest.fixture(scope="module")
def dot(tmp_path_factory, write_file):
    """A film of pictures of one pixel."""
    path = tmp_path_factory.mktemp("dot") / "dot.mkv"
    pixel = [np.full((1, 1, 3), 200, np.uint8)] * 5
    return str(write_file(path, pictures=pixel, video_codec="ffv1", pix_fmt="bgr0", b_frames=0))


def test_pictures_of_one_pixel_hold_no_face(dot):
    found = extractor("faces").extract(Clip("dot", dot))
    assert found.mask.tolist() == [False] * 5
    with pytest.raises(NoFace, match=r"no face in any of 2 pictures of 'dot' \(1x1\)"):
        extractor("mtcnn-face").extract(Clip("dot", dot))


@pytest.mark.parametrize("name", LOOK)
def test_a_face_is_cut_from_one_pixel_too(node, name, dot, still_faces):
    clip = Clip("dot", dot, features={"faces": still_faces(2, (0, 0, 1, 1), (1, 1))})
    found = node(name).extract(clip)
    assert found.mask.all()
    assert np.isfinite(found.values.astype(float)).all()


@pytest.mark.slow
def test_a_face_is_found_in_8k_and_cut_in_bounded_memory(node, portrait, tmp_path, write_file):
    import cv2

    picture = np.full((4320, 7680, 3), 90, np.uint8)
    picture[1000:3048, 2000:4048] = cv2.resize(portrait, (2048, 2048))
    film = {"pictures": [picture], "video_codec": "mpeg4", "b_frames": 0}
    clip = Clip("8k", str(write_file(tmp_path / "8k.mp4", **film)))
    clip.features["faces"] = extractor("mtcnn-face", min_size=600.0).extract(clip)
    x1, y1, x2, y2 = clip.features["faces"].values[0, :4]
    assert 2000 < x1 < x2 < 4048
    assert 1000 < y1 < y2 < 3048
    assert node("face-crops").extract(clip).values.shape == (1, 128, 128, 3)


def test_a_file_turned_by_its_metadata_is_cut_upright(node, portrait, tmp_path, write_file):
    upright = write_file(tmp_path / "up.mp4", pictures=[portrait] * 3)
    turned = write_file(tmp_path / "turned.mp4", pictures=[np.rot90(portrait)] * 3, rotation=90)
    crops = [node("face-crops").extract(seen(Clip("a", str(p)))).values for p in (upright, turned)]
    # But for what H.264 loses, which moves the box by a pixel; lying faces differ by 60.
    assert np.abs(crops[0].astype(float) - crops[1]).mean() < 10


@pytest.mark.parametrize("name", ALL)
def test_uneven_times_give_rows_at_even_ones(node, name, portrait, tmp_path, write_file):
    times = [0, 0.05, 0.3, 0.35, 0.62]
    film = {"pictures": heads(portrait, 5), "times": times, "sound": sound(0.7)}
    clip = seen(Clip("a", str(write_file(tmp_path / "a.mp4", **film, audio_rate=16_000))))
    found = node(name).extract(clip)
    assert found.mask.all()
    steps = np.diff(np.unique(found.times[:, 0]))
    np.testing.assert_allclose(steps, steps[0], atol=1e-6)


def test_transparency_is_left_out(portrait, tmp_path):
    """A film whose left half is transparent shows the colours that are stored there."""
    import av

    alpha = np.full((256, 256, 1), 255, np.uint8)
    alpha[:, :128] = 0
    with av.open(str(tmp_path / "a.mov"), "w") as out:
        stream = out.add_stream("png", rate=25, width=256, height=256, pix_fmt="rgba")
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.concatenate([portrait, alpha], axis=2), "rgba")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    clip = Clip("a", str(tmp_path / "a.mov"))
    np.testing.assert_array_equal(next(iter(clip.frames(25))).image, portrait)
    assert extractor("mtcnn-face").extract(clip).mask.all()


@pytest.fixture(scope="module")
def broken(portrait, tmp_path_factory, write_file):
    """A film of 1.2 s whose pictures from 0.4 s to 0.8 s cannot be read, and what was found."""
    path = tmp_path_factory.mktemp("broken") / "broken.mp4"
    film = {"pictures": heads(portrait, 30), "sound": sound(1.2), "audio_rate": 16_000}
    write_file(path, **film, b_frames=0, gop=10)
    data = bytearray(path.read_bytes())
    place, size = key_picture(path, 10)
    data[place : place + size] = bytes(size)
    path.write_bytes(data)
    return seen(Clip("broken", str(path)), rate=25.0)


def key_picture(path, number):
    """Where the packet of a picture lies, and its size."""
    import av

    with av.open(str(path)) as file:
        packets = [p for p in file.demux(file.streams.video[0]) if p.size]
        assert packets[number].is_keyframe
        return packets[number].pos, packets[number].size


@pytest.mark.parametrize("name", ALL)
def test_what_was_readable_of_a_damaged_file_is_kept_and_the_rest_masked(node, name, broken):
    broken.warnings.clear()
    found = node(name).extract(broken)
    rows = masks(found)
    kept = {start for start, real in rows.items() if real}
    readable = {start for start in rows if not 0.4 - 1e-6 <= start < 0.8 - 1e-6}
    if name in ("mouth-motion", "active-speaker"):  # before and after it are two tracks
        assert kept
        assert kept <= readable
    else:
        assert kept == readable
    assert np.ptp(list(rows)) > 0.9
    said = "the file is damaged: 0.40 s of its pictures could not be read (0.40-0.80 s); rows there"
    reads = node(name).needs.frames > 0
    told = [warning for warning in broken.warnings if "damaged" in warning]
    assert [warning.startswith(said) for warning in told] == [True] * reads


def test_a_file_of_which_nothing_can_be_read_is_damaged(broken, tmp_path):
    data = bytearray((tmp_path / broken.media).read_bytes())
    start = data.index(b"mdat") + 4
    data[start:-4000] = bytes(len(data) - 4000 - start)
    (tmp_path / "gone.mp4").write_bytes(data)
    with pytest.raises(BadMedia, match="truncated or damaged: 0.00 s of 1.20 s of pictures"):
        extractor("faces").extract(Clip("gone", str(tmp_path / "gone.mp4")))


@pytest.mark.parametrize("name", [*LOOK, "face-geometry"])
def test_faces_of_which_all_are_masked_are_no_face(node, name, one, still_faces):
    clip = Clip("one", one.media)
    clip.features["faces"] = still_faces(1, (8, 8, 40, 40), (256, 256), mask=[False])
    with pytest.raises(NoFace, match="'one': none of 1 "):
        node(name).extract(clip)


@pytest.mark.parametrize("name", ["face-crops", "swin3d"])
def test_a_face_at_the_border_is_cut_with_what_there_is(node, name, make_clip, still_faces):
    clip = make_clip([np.full((48, 64, 3), 200, np.uint8)] * 2)
    clip.features["faces"] = still_faces(2, (50, -10, 80, 20), (48, 64))
    found = node(name).extract(clip)
    assert found.mask.all()
    if name == "face-crops":
        grey = found.values[0].mean(axis=2)
        assert (grey[-20:, :20] == 200).all()
        assert (grey[:20] == 0).all()
        assert (grey[:, -20:] == 0).all()


def test_sound_that_ends_before_the_pictures_goes_on_silent(node, portrait, make_clip):
    clip = make_clip(heads(portrait, 6), rate=25.0)
    clip._audio[16_000] = Waveform(sound(0.04), 16_000)
    clip.features["tracks"] = extractor("faces", min_size=60.0).extract(clip)
    assert node("active-speaker").extract(clip).mask.all()


@pytest.mark.parametrize("name", [*LOOK, "active-speaker", "mouth-motion"])
def test_upstream_features_must_be_given(node, name, make_clip):
    role = "faces" if name in LOOK else "tracks"
    with pytest.raises(BadInput, match=f"'{name}' needs '{role}' of 'talk', which were not given"):
        node(name).extract(make_clip([np.zeros((8, 8, 3), np.uint8)]))
