"""Feature pickles as they circulate, with their dirt."""

import numpy as np
import pytest

from affectflow.cache.errors import BadInput, UnknownName
from affectflow.extract.foreign import format_of, padded, read_foreign

LABELS = "regression_labels"


def rows(foreign, name):
    return [foreign.arrays[name].rows(i) for i in range(len(foreign.ids))]


def told(foreign):
    for name in foreign.arrays:
        rows(foreign, name)
    return [*foreign.notes, *[t for array in foreign.arrays.values() for t in array.told()]]


def every(data, key):
    return [item for split in data.values() for item in split[key]]


def lengths_of(lengths, modality):
    return np.concatenate([split[modality] for split in lengths.values()])


def test_an_unaligned_pickle_gives_its_rows_labels_and_texts(unaligned, write_pickle):
    data, lengths = unaligned
    path = write_pickle(data)
    assert format_of(path) == "pickle"
    foreign = read_foreign(path)
    assert foreign.format == "feature-pickle"
    assert foreign.ids[0] == "video0_train/0"
    assert foreign.columns["split"] == ["train"] * 12 + ["valid"] * 5 + ["test"] * 6
    assert foreign.columns["text"] == every(data, "raw_text")
    np.testing.assert_array_equal(foreign.columns["M"], every(data, LABELS))
    for name, modality in (("text", "text"), ("audio", "audio"), ("vision", "vision")):
        assert foreign.arrays[name].modality == modality
        found, wanted = rows(foreign, name), every(data, name)
        for features, block, n in zip(found, wanted, lengths_of(lengths, name), strict=True):
            assert features.values.tobytes() == block[:n].tobytes()
            assert features.mask.all()
            assert np.isnan(features.times).all()


def test_token_ids_come_in_without_their_padding(unaligned, write_pickle):
    data, lengths = unaligned
    found = rows(read_foreign(write_pickle(data)), "text_bert")
    assert [len(f) for f in found] == lengths_of(lengths, "text").tolist()
    assert found[0].columns == ("input_ids", "attention_mask", "token_type_ids")
    np.testing.assert_array_equal(found[0].values[:, 0], data["train"]["text_bert"][0, 0, :8])


def test_aligned_arrays_have_one_length_though_a_word_has_no_face(aligned, write_pickle):
    data, lengths = aligned
    wanted = lengths_of(lengths, "text")
    data["train"]["vision"][0, 6:] = 0  # the last two words of eight
    data["train"]["vision"][1, 0] = 0
    foreign = read_foreign(write_pickle(data))
    for name in ("text", "audio", "vision"):
        assert [len(f) for f in rows(foreign, name)] == wanted.tolist()
    first, second, *_ = rows(foreign, "vision")
    assert first.mask.tolist() == [True] * 6 + [False] * 2
    assert not second.mask[0]
    assert any("word-aligned" in line for line in told(foreign))
    assert any("'vision': 3 rows of zeros alone masked" in line for line in told(foreign))


def test_infinite_and_missing_values_are_masked_rows_that_keep_their_bits(unaligned, write_pickle):
    data, _ = unaligned
    data["train"]["audio"][0, 2, 1] = -np.inf
    data["train"]["audio"][0, 4, 0] = np.nan
    foreign = read_foreign(write_pickle(data))
    first = foreign.arrays["audio"].rows(0)
    assert np.flatnonzero(~first.mask).tolist() == [2, 4]
    assert first.values[2, 1] == -np.inf
    assert any("'audio': 2 rows masked that hold NaN or infinity" in t for t in told(foreign))


def test_lengths_that_lie_are_told(unaligned, write_pickle):
    data, _ = unaligned
    data["train"]["audio_lengths"][0] = 99
    data["train"]["vision_lengths"][0] = 2
    foreign = read_foreign(write_pickle(data))
    assert len(foreign.arrays["audio"].rows(0)) == 14
    assert len(foreign.arrays["vision"].rows(0)) == 2
    said = told(foreign)
    assert any("'audio': 1 utterance said to be longer than the array" in line for line in said)
    assert any("'vision': 1 utterance with values beyond their length" in line for line in said)


def test_more_than_a_block_is_looked_at_like_the_rest(aligned, write_pickle, monkeypatch):
    data, _ = aligned
    data["train"]["audio"][-1, 1] = 0
    data["train"]["audio"][-1, 2, 0] = np.nan
    whole = rows(read_foreign(write_pickle(data)), "audio")
    monkeypatch.setattr(padded, "_BLOCK", 1)  # an utterance at a time
    for ours, theirs in zip(rows(read_foreign(write_pickle(data)), "audio"), whole, strict=True):
        np.testing.assert_array_equal(ours.mask, theirs.mask)
        np.testing.assert_array_equal(ours.values, theirs.values)
    last = whole[len(data["train"]["id"]) - 1]
    assert np.flatnonzero(~last.mask).tolist() == [1, 2]


def test_nobody_writes_into_times_that_utterances_share(unaligned, write_pickle):
    first, second = (f.times for f in rows(read_foreign(write_pickle(unaligned[0])), "audio")[:2])
    assert np.isnan(first).all()
    assert not first.flags.writeable
    assert not second.flags.writeable


@pytest.mark.parametrize("kind", ["list", "object", "float64", "dev", "bytes", "fortran"])
def test_the_same_comes_out_of_lists_objects_and_old_text(unaligned, write_pickle, kind):
    data, _ = unaligned
    plain = read_foreign(write_pickle(data))
    for split in data.values():
        if kind == "list":
            split |= {"audio": split["audio"].tolist(), LABELS: split[LABELS].tolist()}
        elif kind == "object":
            split |= {"audio": split["audio"].astype(object), LABELS: split[LABELS].astype(object)}
        elif kind == "float64":
            split["audio"] = split["audio"].astype(np.float64)
        elif kind == "bytes":
            split["id"] = [name.encode() for name in split["id"]]
            split["raw_text"] = np.array(split["raw_text"])
        elif kind == "fortran":
            split["audio"] = np.asfortranarray(split["audio"])
    if kind == "dev":
        data["dev"] = data.pop("valid")
        data["config"] = {"aligned": False}
    foreign = read_foreign(write_pickle(data))
    assert set(foreign.ids) == set(plain.ids)
    assert [*foreign.columns["split"]] == [*plain.columns["split"]]
    assert foreign.columns["text"] == plain.columns["text"]
    np.testing.assert_array_equal(foreign.columns["M"], plain.columns["M"])
    for ours, theirs in zip(rows(foreign, "audio"), rows(plain, "audio"), strict=True):
        np.testing.assert_array_equal(ours.values, theirs.values)
    wide = kind in ("list", "object", "float64")
    assert foreign.arrays["audio"].spec.dtype == ("float64" if wide else "float32")
    assert any("'config' not used" in line for line in foreign.notes) == (kind == "dev")


def test_unimodal_labels_of_ch_sims(unaligned, write_pickle):
    data, _ = unaligned
    for split in data.values():
        for letter in "TAV":
            split[f"regression_labels_{letter}"] = split[LABELS] / 3
    foreign = read_foreign(write_pickle(data))
    assert sorted(set(foreign.columns) - {"split", "text"}) == ["A", "M", "T", "V"]


def test_ids_that_stand_twice_begin_with_their_split(unaligned, write_pickle):
    data, _ = unaligned
    data["valid"]["id"][0] = data["train"]["id"][0]
    foreign = read_foreign(write_pickle(data))
    assert foreign.ids[12] == "valid/video0_train/0"
    assert any("1 id stand more than once" in line for line in foreign.notes)


@pytest.mark.parametrize(
    "bad", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\x00b", "a\nb", "~/x", "a\\..\\b"]
)
def test_ids_that_lead_elsewhere_are_refused(unaligned, write_pickle, bad):
    data, _ = unaligned
    data["train"]["id"][3] = bad
    with pytest.raises(BadInput, match="the id .* is refused"):
        read_foreign(write_pickle(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["valid"].pop("audio"), "'audio' is in train, test, but not in the other"),
        (lambda d: d["valid"].update(audio=d["valid"]["audio"][:2]), "one number of utterances"),
        (lambda d: d["valid"].update(audio=d["valid"]["audio"][..., :2]), "several widths"),
        (lambda d: d["test"].update(raw_text=[{}] * 6), r"test/raw_text\[0\] must be text"),
        (lambda d: d["test"].update(audio=["x"] * 6), r"test/audio\[0\] must hold numbers"),
        (lambda d: d["test"].update(audio=[[1.0], [1.0, 2.0]] * 3), r"must be alike"),
        (lambda d: d["test"].update(regression_labels=[None] * 6), "must hold numbers"),
        (lambda d: d["test"].update(audio_lengths=[float("nan")] * 6), "NaN or infinite"),
    ],
)
def test_what_is_wrong_is_named(unaligned, write_pickle, change, message):
    data, _ = unaligned
    change(data)
    path = write_pickle(data)
    with pytest.raises(BadInput, match=message) as met:
        read_foreign(path)
    assert str(path) in str(met.value)


def test_lists_that_would_fill_the_memory_are_refused(unaligned, write_pickle):
    data, _ = unaligned
    item = [1.0]
    for _ in range(7):
        item = [item] * 50
    data["test"]["audio"] = [item] * 6
    with pytest.raises(BadInput, match="numbers in lists"):
        read_foreign(write_pickle(data))


def test_a_pickle_of_something_else_is_named(write_pickle):
    with pytest.raises(BadInput, match=r"a dict of splits .* got a dict of 1 \('a'\)"):
        read_foreign(write_pickle({"a": 1}))
    with pytest.raises(UnknownName, match="unknown format of features 'pikle'"):
        read_foreign(write_pickle({"a": 1}), "pikle")


def mult(rng, front):
    data = {}
    for name, n in (("train", 12), ("valid", 5), ("test", 6)):
        place = np.arange(8)[::-1] if front else np.arange(8)
        padding = place[None] >= rng.integers(2, 7, n)[:, None]
        data[name] = {}
        for modality, width in (("text", 6), ("audio", 5), ("vision", 4)):
            data[name][modality] = rng.normal(size=(n, 8, width)).astype(np.float32)
            data[name][modality][padding] = 0
        data[name]["labels"] = rng.normal(size=(n, 1, 1)).astype(np.float32)
        data[name]["id"] = np.array([[f"v{name}{i}", "0.5", "1.25"] for i in range(n)], object)
    return data


@pytest.mark.parametrize("front", [True, False])
def test_mults_pickle_padded_in_front_or_at_the_end(write_pickle, front):
    data = mult(np.random.default_rng(0), front)
    foreign = read_foreign(write_pickle(data, "mosi_data.pkl"))
    assert foreign.format == "mult-pickle"
    assert foreign.ids[0] == "vtrain0/0.5_1.25"
    np.testing.assert_array_equal(foreign.columns["M"][:12], data["train"]["labels"][:, 0, 0])
    first = foreign.arrays["text"].rows(0)
    block = data["train"]["text"][0]
    assert first.values.tobytes() == block[block.any(axis=1)].tobytes()
    where = "in front" if front else "at the end"
    assert any(f"'text': zeros {where} taken as padding" in line for line in told(foreign))


def test_mults_labels_that_are_no_sentiment_are_left_out(write_pickle):
    data = mult(np.random.default_rng(0), False)
    for split in data.values():
        split["labels"] = np.zeros((len(split["labels"]), 4, 2))
    foreign = read_foreign(write_pickle(data))
    assert "M" not in foreign.columns
    assert any("are no sentiment values: left out" in line for line in foreign.notes)


def test_moseis_labels_of_seven_columns_are_sentiment_and_emotions(write_pickle):
    data = mult(np.random.default_rng(0), False)
    wanted = []
    for split in data.values():
        labels = np.zeros((len(split["labels"]), 1, 7), np.float32)
        labels[:, 0, 0] = np.arange(len(labels)) / 4
        labels[0, 0, [2, 5]] = 0.33, 1
        split["labels"] = labels
        wanted += ["sad;disgust"] + ["none"] * (len(labels) - 1)
    foreign = read_foreign(write_pickle(data))
    assert foreign.columns["emotion"] == wanted
    assert foreign.columns["M"][:3] == [0, 0.25, 0.5]
    assert any("7 columns, taken for MOSEI's: sentiment, happy" in line for line in foreign.notes)


def mag(rng):
    data = {}
    for name, n in (("train", 6), ("dev", 3), ("test", 3)):
        lengths = rng.integers(1, 8, n)
        data[name] = [
            (
                ([f"w{k}" for k in range(length)], rng.normal(size=(length, 47)),
                 rng.normal(size=(length, 74))),
                rng.normal(size=(1, 1)),
                f"{name}video[{i}]",
            )
            for i, length in enumerate(lengths)
        ]  # fmt: skip
    return data


def test_mag_berts_pickle_of_tuples(write_pickle):
    data = mag(np.random.default_rng(0))
    foreign = read_foreign(write_pickle(data, "mosi.pkl"))
    assert foreign.format == "mag-pickle"
    assert foreign.ids[0] == "trainvideo[0]"
    (words, visual, acoustic), label, _ = data["train"][0]
    assert foreign.columns["text"][0] == " ".join(words)
    assert foreign.columns["M"][0] == label[0, 0]
    assert foreign.arrays["vision"].rows(0).values.tobytes() == visual.tobytes()
    assert foreign.arrays["audio"].rows(0).values.tobytes() == acoustic.tobytes()
    assert foreign.columns["split"].count("valid") == 3


def test_mag_berts_words_and_rows_must_fit(write_pickle):
    data = mag(np.random.default_rng(0))
    (words, visual, acoustic), label, segment = data["train"][1]
    data["train"][1] = ((words + ["more"], visual, acoustic), label, segment)
    with pytest.raises(BadInput, match=r"train\[1\]: vision must have a row for each of"):
        read_foreign(write_pickle(data))
