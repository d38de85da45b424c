"""Computational sequences, OpenFace, COVAREP, FACET, .npy and HDF5: what they give, their dirt."""

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadInput
from affectflow.cache.hdf5_foreign import write_hdf5
from affectflow.cache.table import FeatureTable
from affectflow.extract.audio.covarep_features import Covarep
from affectflow.extract.foreign import SINGLE, csd, format_of, read_foreign
from affectflow.extract.foreign.outgoing import Outgoing

RNG = np.random.default_rng(0)
REAL = Path(__file__).parents[4] / "shared" / "formats"
real = pytest.mark.skipif(not REAL.is_dir(), reason="real samples are not beside the checkout")


def values(foreign):
    (array,) = foreign.arrays.values()
    return [array.rows(i) for i in range(len(foreign.ids))]


# --- computational sequences ------------------------------------------------------------------


def write_csd(path, segments, name="CMU_MOSI_COVAREP"):
    with h5py.File(path, "w") as file:
        for segment, (features, intervals) in segments.items():
            file[f"{name}/data/{segment}/features"] = features
            file[f"{name}/data/{segment}/intervals"] = intervals
        file[f"{name}/metadata/root name"] = name


def segments(n=3):
    made = {}
    for i in range(n):
        times = np.stack([np.arange(i + 2), np.arange(i + 2) + 0.5], axis=1)
        made[f"video[{i}]"] = (RNG.normal(size=(i + 2, 4)).astype(np.float32), times)
    return made


def test_a_computational_sequence_keeps_its_times(tmp_path):
    path = tmp_path / "x.csd"
    made = segments()
    made["video[0]"][0][1, 2] = -np.inf
    write_csd(path, made)
    assert format_of(path) == "csd"
    foreign = read_foreign(path)
    assert list(foreign.arrays) == ["audio"]
    assert foreign.ids == tuple(made)
    for found, (features, intervals) in zip(values(foreign), made.values(), strict=True):
        assert found.values.tobytes() == features.tobytes()
        np.testing.assert_array_equal(found.times, intervals)
    assert values(foreign)[0].mask.tolist() == [True, False]


def test_a_sequence_comes_back_bit_for_bit(tmp_path):
    made = segments()
    lengths = [len(features) for features, _ in made.values()]
    table = FeatureTable(
        tuple(made),
        np.concatenate([features for features, _ in made.values()]),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.ones(sum(lengths), bool),
        np.concatenate([times for _, times in made.values()]),
    )
    corpus = Corpus.from_columns({"id": list(made), "text": ["x"] * 3}, name="c")
    csd.write(tmp_path / "out.csd", Outgoing(corpus, {"audio": table}, {"audio": "audio"}), {})
    foreign = read_foreign(tmp_path / "out.csd")
    assert foreign.ids == tuple(made)
    for found, (features, times) in zip(values(foreign), made.values(), strict=True):
        assert found.values.tobytes() == features.tobytes()
        assert found.times.tobytes() == times.tobytes()


def test_a_sequence_whose_intervals_do_not_fit_is_named(tmp_path):
    made = segments()
    write_csd(tmp_path / "x.csd", {"a": (made["video[0]"][0], np.zeros((5, 2)))})
    with pytest.raises(BadInput, match="'a' has 2 rows and intervals of shape"):
        values(read_foreign(tmp_path / "x.csd"))
    write_hdf5(tmp_path / "y.csd", {"a": np.zeros((2, 2))})
    with pytest.raises(BadInput, match="a sequence has one name"):
        read_foreign(tmp_path / "y.csd")


def test_what_a_sequence_is_of_must_be_said_where_nothing_tells(tmp_path):
    write_csd(tmp_path / "x.csd", segments(), "things")
    with pytest.raises(BadCall, match="say --modality"):
        read_foreign(tmp_path / "x.csd")
    assert list(read_foreign(tmp_path / "x.csd", modality="vision", array="f").arrays) == ["f"]


# --- folders ----------------------------------------------------------------------------------

HEADER = "frame, face_id, timestamp, confidence, success, gaze_0_x, AU01_r\n"


def test_openface_masks_pictures_without_a_face(tmp_path):
    (tmp_path / "v").mkdir()
    rows = "1,0,0.0,0.9,1,0.5,1.5\n2,0,0.04,0.1,0,0.1,0.2\n3,0,0.08,0.9,1,0.25,2.5\n"
    (tmp_path / "v" / "c.csv").write_text(HEADER + rows)
    assert format_of(tmp_path) == "openface"
    foreign = read_foreign(tmp_path)
    assert foreign.ids == ("v/c",)
    (found,) = values(foreign)
    assert found.columns == ("gaze_0_x", "AU01_r")
    assert found.mask.tolist() == [True, False, True]
    np.testing.assert_allclose(found.times[:, 0], [0, 0.04, 0.08])
    np.testing.assert_array_equal(found.values[:, 1], [1.5, 0.2, 2.5])
    (tmp_path / "v" / "d.csv").write_text(HEADER.replace("AU01_r", "AU02_r") + rows)
    with pytest.raises(BadInput, match="'v/d' has 2 columns, 'v/c' has 2, or they have other"):
        values(read_foreign(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "1,0,0.0,0.9,1,0.5\n", "it was cut off"),
        (HEADER, "holds no row"),
        (HEADER + "1,0,0.0,0.9,1,0.5,x\n", "something else than numbers"),
        (HEADER + "1,0,0.0,0.9,1,0.5,1\n1,1,0.0,0.9,1,0.5,1\n", "several faces"),
        (HEADER + "1,0,0.1,0.9,1,0.5,1\n1,0,0.0,0.9,1,0.5,1\n", "do not grow"),
    ],
)
def test_openface_files_with_faults_are_named(tmp_path, text, message):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(BadInput, match=message):
        values(read_foreign(tmp_path))


FACET = "#Study : x\r\n\r\nName\tFrameTime\tNoOfFaces\tJoy Evidence\tYaw Degrees\r\n"


def test_facet_masks_pictures_without_a_face_and_warns_of_emotions(tmp_path):
    (tmp_path / "c.txt").write_text(
        FACET + "a\t35\t1\t-0.5\t3\r\na\t68\t0\t\t\r\na\t101\t1\t1\t2\r\n"
    )
    assert format_of(tmp_path) == "facet"
    foreign = read_foreign(tmp_path)
    (found,) = values(foreign)
    assert found.columns == ("Joy Evidence", "Yaw Degrees")
    assert found.mask.tolist() == [True, False, True]
    np.testing.assert_allclose(found.times[0], [0.035, 0.068])
    assert any("predictions of what such corpora label" in note for note in foreign.notes)


@pytest.mark.parametrize("compress", [True, False])
def test_covareps_mat_of_version_5(tmp_path, compress):
    names = np.array([f"c{i}" for i in range(4)], object)
    features = RNG.normal(size=(6, 4))
    features[2, 1] = np.nan
    scipy.io.savemat(
        tmp_path / "c.mat",
        {"features": features, "names": names, "n": 3, "s": {"a": 1}},
        do_compression=compress,
    )
    assert format_of(tmp_path) == "covarep"
    (found,) = values(read_foreign(tmp_path))
    assert found.values.tobytes() == features.tobytes()
    assert found.columns == tuple(names)
    assert found.mask.tolist() == [True, True, False, True, True, True]
    np.testing.assert_allclose(found.times[:2], [[0, 0.01], [0.01, 0.02]])


def test_covareps_mat_of_version_7_3(tmp_path):
    features = RNG.normal(size=(6, 74))
    with h5py.File(tmp_path / "c.mat", "w", userblock_size=512) as file:
        file["features"] = features.T
        file["names"] = np.array([file["features"].ref], dtype=h5py.ref_dtype)
    (found,) = values(read_foreign(tmp_path))
    assert found.values.tobytes() == features.tobytes()
    assert found.columns == Covarep().spec["values"].columns


@real
def test_real_samples():
    (found,) = values(read_foreign(REAL / "covarep_real_clip.mat"))
    assert found.values.shape == (349, 74)
    wanted = scipy.io.loadmat(REAL / "covarep_real_clip.mat")["features"]
    np.testing.assert_array_equal(found.values, wanted)
    assert found.columns == tuple((REAL / "covarep_labels.txt").read_text().split())
    (face,) = values(read_foreign(REAL / "facet_imotions_v6.txt"))
    assert len(face) == 519
    assert (~face.mask).sum() == 215
    (row,) = values(read_foreign(REAL / "openface2_714_columns_one_row.csv"))
    assert row.values.shape == (1, 709)


def test_a_folder_of_npy(tmp_path):
    folder = tmp_path / "hubert_audio"
    (folder / "v").mkdir(parents=True)
    made = RNG.normal(size=(3, 5)).astype(np.float16)
    np.save(folder / "v" / "a.npy", made)
    np.save(folder / "v" / "b.npy", made[0])
    foreign = read_foreign(folder)
    assert foreign.ids == ("v/a", "v/b")
    first, second = values(foreign)
    assert first.values.tobytes() == made.tobytes()
    assert second.values.shape == (1, 5)
    np.save(folder / "v" / "c.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(BadInput, match=r"c.npy' cannot be read as .npy"):
        values(read_foreign(folder))


def test_links_out_of_a_folder_are_left_out_with_a_note(tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    np.save(folder / "a.npy", np.zeros((2, 3)))
    np.save(tmp_path / "secret.npy", np.zeros((2, 3)))
    (folder / "b.npy").symlink_to(tmp_path / "secret.npy")
    foreign = read_foreign(folder)
    assert foreign.ids == ("a",)
    assert foreign.notes == ("1 link out of the folder left out: 'b.npy'",)


def test_hdf5_with_one_array_an_utterance(tmp_path):
    path = tmp_path / "audio.h5"
    made = {f"v{i}/c": RNG.normal(size=(i + 1, 3)) for i in range(3)}
    write_hdf5(path, made)
    assert format_of(path) == "hdf5"
    foreign = read_foreign(path)
    assert foreign.ids == tuple(made)
    for found, wanted in zip(values(foreign), made.values(), strict=True):
        assert found.values.tobytes() == wanted.tobytes()


def test_hdf5_without_an_array_is_named(tmp_path):
    with h5py.File(tmp_path / "audio.h5", "w") as file:
        file.create_group("empty")
    with pytest.raises(BadInput, match="there is no array in"):
        read_foreign(tmp_path / "audio.h5")


def test_what_is_of_no_known_format_is_named(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"hello there")
    with pytest.raises(BadInput, match="no format that is known, it begins with b'hello there'"):
        read_foreign(tmp_path / "x.bin")


# --- attacks and faults -----------------------------------------------------------------------


def hdf5_attacks(folder):
    """Files whose links or arrays lead elsewhere, and what is said of them."""
    outside = folder / "secret.bin"
    write_hdf5(outside, {"x": np.ones((2, 2))})

    def external(file):
        file["a"] = h5py.ExternalLink(str(outside), "/x")

    def soft(file):
        file["b"] = np.ones((2, 2))
        file["a"] = h5py.SoftLink("/b")

    def loop(file):
        file["a"] = h5py.SoftLink("/a")

    def hard_loop(file):
        group = file.create_group("g")
        group["again"] = group

    def storage(file):
        file.create_dataset("a", (2, 2), "f8", external=[(str(outside), 0, 32)])

    def virtual(file):
        layout = h5py.VirtualLayout((2, 2), "f8")
        layout[:] = h5py.VirtualSource(str(outside), "x", (2, 2))
        file.create_virtual_dataset("a", layout)

    def reference(file):
        file["b"] = np.ones((2, 2))
        file["a"] = np.array([[file["b"].ref]], dtype=h5py.ref_dtype)
        del file["b"]

    def huge(file):
        file.create_dataset("a", (1 << 40, 8), "f8", chunks=(1024, 8))

    def huge_contiguous(file):
        file.create_dataset("a", (1 << 36, 8), "f8")

    def bomb(file):
        file.create_dataset("a", (1 << 24, 2), "f8", chunks=(1 << 17, 2), compression="gzip")

    def objects(file):
        file.create_dataset("a", data=["x", "y"], dtype=h5py.string_dtype())

    def deep(file):
        file["/".join("g" * 40)] = np.ones((2, 2))

    return {
        external: "an external link", soft: "a soft link", loop: "a soft link",
        hard_loop: "met before", storage: "lies in other files", virtual: "lies in other files",
        reference: "references to objects", huge: "declares", huge_contiguous: "declares",
        bomb: "declares", objects: "numbers and plain text are read", deep: "groups inside",
    }  # fmt: skip


def test_hdf5_that_leads_elsewhere_or_declares_too_much_is_refused(tmp_path):
    for number, (attack, message) in enumerate(hdf5_attacks(tmp_path).items()):
        path = tmp_path / f"audio_{number}.h5"
        with h5py.File(path, "w") as file:
            attack(file)
        with pytest.raises(BadInput, match=message):
            values(read_foreign(path))


def test_a_sequence_that_leads_elsewhere_is_refused(tmp_path):
    outside = tmp_path / "secret.h5"
    write_hdf5(outside, {"x": np.ones((2, 2))})
    for number in range(2):
        path = tmp_path / f"{number}.csd"
        with h5py.File(path, "w") as file:
            group = file.create_group("audio/data/s")
            group["intervals"] = np.ones((2, 2))
            if number:
                group.create_dataset("features", (2, 2), "f8", external=[(str(outside), 0, 32)])
            else:
                group["features"] = h5py.ExternalLink(str(outside), "/x")
        with pytest.raises(BadInput, match="external link|lies in other files"):
            values(read_foreign(path))


def test_a_mat_file_that_lies_or_grows_is_refused(tmp_path):
    path = tmp_path / "c.mat"
    scipy.io.savemat(path, {"features": np.ones((4, 3))})
    good = path.read_bytes()
    place = good.index(struct.pack("<ii", 4, 3))
    path.write_bytes(good[:place] + struct.pack("<ii", 1 << 30, 1 << 30) + good[place + 8 :])
    with pytest.raises(BadInput, match="declares"):
        values(read_foreign(path))
    path.write_bytes(good[:-20])
    with pytest.raises(BadInput, match="not whole"):
        values(read_foreign(path))
    scipy.io.savemat(path, {"other": np.ones((4, 3))})
    with pytest.raises(BadInput, match="no matrix 'features'"):
        values(read_foreign(path))


def test_a_compressed_mat_that_becomes_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("affectflow.extract.foreign.mat5.MOST", 1 << 16)
    path = tmp_path / "c.mat"
    scipy.io.savemat(path, {"features": np.zeros((1 << 14, 3))}, do_compression=True)
    with pytest.raises(BadInput, match="becomes more than"):
        values(read_foreign(path))


def test_an_npy_that_declares_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "audio.npy"
    np.save(path, np.zeros((2, 3)))
    path.write_bytes(path.read_bytes().replace(b"(2, 3), ", b"(1 << 40"[:8]))
    with pytest.raises(BadInput, match=r"cannot be read as \.npy"):
        values(read_foreign(path))
    np.save(path, np.zeros((2, 3)))
    path.write_bytes(path.read_bytes().replace(b"(2, 3), }  ", b"(2000, 3), }"[:11]))
    with pytest.raises(BadInput, match=r"cannot be read as \.npy"):
        values(read_foreign(path))


@pytest.mark.parametrize("kind", ["openface", "facet", "covarep", "npy", "csd-folder"])
def test_a_folder_without_files_of_a_format_is_told_by_their_endings(tmp_path, kind):
    with pytest.raises(BadInput, match=r"there is no \.\w+ .*file in '"):
        read_foreign(tmp_path, kind)


def test_what_else_lies_in_a_folder_is_told_and_hidden_files_do_not_count(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "._a.npy").write_bytes(b"of another system")
    found = read_foreign(tmp_path, modality="audio")
    assert found.ids == ("a",)
    assert found.notes == ("1 file with another ending than .npy left out: 'notes.txt'",)


@pytest.mark.parametrize("kind", SINGLE)
def test_a_folder_given_for_one_file_is_told(tmp_path, kind):
    with pytest.raises(BadInput, match=f"is a folder, and format '{kind}' is one file"):
        read_foreign(tmp_path, kind)


def test_a_folder_of_nothing_that_is_known_is_told_as_one(tmp_path):
    with pytest.raises(BadInput, match="no format that is known, so is no file in this folder"):
        format_of(tmp_path)
