import pytest

from affectflow.cache.errors import BadCall, BadCorpus
from affectflow.extract.corpora import read_corpus

FILES = ["id1/v1/00001.mp4", "id1/v1/00002.mp4", "id1/v2/00001.mp4", "id2/v3/00001.m4a"]


def make(folder, files):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"media")
    return folder


def splits(corpus):
    return dict(zip(corpus.ids, corpus.splits, strict=True))


def test_every_media_file_is_an_utterance_without_labels_or_text(tmp_path):
    make(tmp_path / "vox", [*FILES, "id2/v3/00001.wav", "id2/v3/notes.txt"])
    corpus = read_corpus("media", tmp_path / "vox", language="en")
    assert corpus.name == "vox"
    assert list(corpus.ids) == [name.rpartition(".")[0] for name in FILES]
    first, *_, last = corpus
    assert first.media == str(tmp_path / "vox/id1/v1/00001.mp4")
    assert last.media.endswith("00001.wav")  # of two of one name the better one
    assert [u.speaker for u in corpus] == ["id1", "id1", "id1", "id2"]
    assert {(u.text, u.language, u.start) for u in corpus} == {("", "en", None)}
    assert corpus.label_columns == ()
    assert corpus.check().errors == ()


def test_nobody_speaks_in_both_splits_and_nobody_changes_sides(tmp_path):
    names = [f"id{i}/v/{k}.mp4" for i in range(200) for k in range(2)]
    first = splits(read_corpus("media", make(tmp_path, names[:100]), valid=0.2))
    whole = splits(read_corpus("media", make(tmp_path, names), valid=0.2))
    assert all(whole[name] == split for name, split in first.items())
    by_speaker = {}
    for name, split in whole.items():
        by_speaker.setdefault(name.partition("/")[0], set()).add(split)
    assert all(len(own) == 1 for own in by_speaker.values())
    assert 0.12 < sum(own == {"valid"} for own in by_speaker.values()) / 200 < 0.28


@pytest.mark.parametrize(
    "names", [["a.mp4", "b.mp4"], ["one/a.mp4", "one/b.mp4", "one/c.mp4"], FILES]
)
def test_there_is_something_to_learn_from_and_to_validate_by_however_few_there_are(tmp_path, names):
    for share in (0.001, 0.999):
        found = read_corpus("media", make(tmp_path, names), valid=share)
        assert {*found.splits} == {"train", "valid"}


def test_a_link_that_leads_out_of_the_folder_is_a_fault(tmp_path):
    make(tmp_path / "in", FILES)
    make(tmp_path / "out", ["x.mp4"])
    (tmp_path / "in/id1/v1/x.mp4").symlink_to(tmp_path / "out/x.mp4")
    corpus = read_corpus("media", tmp_path / "in")
    assert len(corpus) == 4
    assert "1 file outside" in corpus.check().errors[0]


def test_what_is_no_folder_of_clips_is_refused(tmp_path):
    with pytest.raises(BadCorpus, match="'.*none' is no folder; kind 'media'"):
        read_corpus("media", tmp_path / "none")
    make(tmp_path, ["a/only.mp4", "a/notes.txt"])
    with pytest.raises(BadCorpus, match="holds 1 media file .*at least two are needed"):
        read_corpus("media", tmp_path)
    with pytest.raises(BadCall, match="valid must be a share between 0 and 1, not 1.5"):
        read_corpus("media", tmp_path, valid=1.5)
