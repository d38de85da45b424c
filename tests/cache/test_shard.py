import h5py
import numpy as np
import pytest
from xxhash import xxh3_64_hexdigest, xxh3_128_hexdigest

from affectflow.cache.errors import BadInput, Damaged, NewerCache
from affectflow.cache.names import file_digest
from affectflow.cache.records import ArraySpec, Features, frame_times, no_times
from affectflow.cache.shard import build, hdf5_layout
from affectflow.cache.shard_file import ShardFile

NODE = "ab" * 32
SPEC = {"values": ArraySpec((2,), "float16", hop=0.01)}
KEYS = (b"a" * 16, b"b" * 16, b"c" * 16)


def features(n=4, times=None, mask=None):
    values = np.arange(2.0 * n, dtype=np.float16).reshape(n, 2)
    return Features(values, frame_times(n, 0.01, 0.025) if times is None else times, mask=mask)


def image_of(*parts, spec=SPEC, origin=None):
    return bytes(build(NODE, dict(zip(KEYS, parts, strict=False)), spec, origin or {})[1])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shard.h5"


def test_is_an_hdf5_file_with_contiguous_values_that_any_tool_reads(path):
    path.write_bytes(image_of(features(), features(3), origin={"libraries": {"größe": "1"}}))
    with h5py.File(path, "r", locking=False) as file:
        values = file["arrays/values/values"]
        assert values.chunks is None
        np.testing.assert_array_equal(values[:4], features().values)
        assert file["arrays/values/offsets"][:].tolist() == [0, 4, 7]
        assert file["keys"][:].tobytes() == b"".join(KEYS[:2])
        assert "größe" in file["about"][:].tobytes().decode()


def test_places_in_the_user_block_are_those_hdf5_gave(path):
    path.write_bytes(image_of(features(), features(0), features(mask=[True, False, True, True])))
    layout = ShardFile(path).layout
    assert layout == hdf5_layout(path)
    assert "arrays/values/mask" in layout


def test_regular_times_are_three_numbers_an_utterance(path):
    path.write_bytes(image_of(features(), features(1), features(0)))
    part = ShardFile(path).part("values")
    assert part.regular == [[0.0, 0.01, 0.025], [0.0, 0.01, 0.025], [0.0, 0.0, 0.0]]
    assert part.times_at is None


@pytest.mark.parametrize("start", [0.0, 0.005, -0.0125, 1 / 3, 1e6 + 0.1])
@pytest.mark.parametrize("hop", [0.01, 512 / 22050, 1 / 30, 0.0])
@pytest.mark.parametrize("width", [0.025, 2048 / 22050, None])
def test_times_come_back_to_the_bit_however_they_are_stored(path, start, hop, width):
    times = frame_times(50, hop, width, start)
    path.write_bytes(image_of(features(50, times)))
    assert ShardFile(path).features(0).times.tobytes() == times.tobytes()


def test_one_irregular_utterance_makes_times_explicit(path):
    jitter = frame_times(4, 0.01)
    jitter[2] += 1e-9
    path.write_bytes(image_of(features(), features(4, jitter), features(4, no_times(4))))
    shard = ShardFile(path)
    assert shard.part("values").regular is None
    assert shard.features(0).times.tobytes() == features().times.tobytes()
    assert shard.features(1).times.tobytes() == jitter.tobytes()
    assert np.isnan(shard.features(2).times).all()


def test_a_mask_is_stored_only_where_a_row_is_masked(path):
    path.write_bytes(image_of(features(), features(mask=[True, False, True, True])))
    shard = ShardFile(path)
    assert shard.features(0).mask.all()
    assert shard.features(1).mask.tolist() == [True, False, True, True]
    path.write_bytes(image_of(features()))
    assert ShardFile(path).part("values").mask_at is None


def test_thousands_of_column_names_fit(path):
    names = tuple(f"a very long name of a column, number {i}" for i in range(7000))
    spec = {"values": ArraySpec((7000,), "float32", names)}
    one = Features(np.zeros((1, 7000), np.float32), frame_times(1, 1.0), names)
    path.write_bytes(image_of(one, spec=spec))
    assert ShardFile(path).features(0).columns == names


@pytest.mark.parametrize("n_arrays", [1, 7, 8, 30])
@pytest.mark.parametrize("n_rows", [0, 3, 100, 3000])
def test_any_number_of_named_arrays_of_any_size_fits(path, n_arrays, n_rows):
    names = [f"array number {i} with a rather long name" for i in range(n_arrays)]
    spec = SPEC | dict.fromkeys(names, SPEC["values"])
    part = features(n_rows, mask=np.arange(n_rows) > 0)
    one = Features(features().values, features().times, more=dict.fromkeys(names, part))
    path.write_bytes(image_of(one, spec=spec))
    found = ShardFile(path).features(0)
    assert set(found.more) == set(names)
    assert all(twin.values.tobytes() == part.values.tobytes() for twin in found.more.values())
    assert ShardFile(path).layout == hdf5_layout(path)


def test_a_column_of_another_utterance_does_not_pass_for_ones_own(path):
    # Two utterances of the same length: their values changed places, all else is as it was.
    image = bytearray(image_of(features(), Features(features().values[::-1], features().times)))
    path.write_bytes(image)
    at = ShardFile(path).part("values").values_at
    image[at : at + 16], image[at + 16 : at + 32] = image[at + 16 : at + 32], image[at : at + 16]
    path.write_bytes(image)
    with pytest.raises(Damaged, match=f"array 'values' of key {KEYS[0].hex()}"):
        ShardFile(path).features(0)


def test_every_flipped_bit_of_a_small_shard_is_raised(path):
    jitter = np.sort(np.random.default_rng(0).uniform(size=(3, 2)), axis=1)
    written = [features(2, mask=[True, False]), features(3, jitter)]
    image = image_of(*written)
    rng = np.random.default_rng(1)
    bits = set(rng.integers(len(image) * 8, size=400).tolist())
    for bit in sorted(bits):
        flipped = bytearray(image)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(Damaged):
            [ShardFile(path).features(row) for row in range(2)]


@pytest.mark.parametrize("length", [0, 10, 300, 2000, -1])
def test_a_file_cut_short_is_damaged(path, length):
    path.write_bytes(image_of(features())[:length])
    with pytest.raises(Damaged, match=r"first line|head does not|bytes, \d+ were written"):
        ShardFile(path)


def test_a_file_that_grew_is_damaged(path):
    path.write_bytes(image_of(features()) + b"\0")
    with pytest.raises(Damaged, match=r"it has \d+ bytes, \d+ were written"):
        ShardFile(path)


def test_a_shard_of_a_newer_format_is_refused_with_both_versions(path):
    image = image_of(features())
    line, _, rest = image.partition(b"\n")
    newer = line.rsplit(b" ", 1)[0].replace(b"shard 1 ", b"shard 9 ")
    path.write_bytes(newer + b" " + xxh3_64_hexdigest(newer).encode() + b"\n" + rest)
    with pytest.raises(NewerCache, match="has format 9, .* up to 1: install a newer affectflow"):
        ShardFile(path)


def test_the_digest_of_a_file_is_that_of_its_bytes(path):
    image = image_of(features())
    path.write_bytes(image)
    assert file_digest(path) == xxh3_128_hexdigest(image)


def test_rows_are_not_copied_before_they_are_written(path):
    one = features(5000)
    _, image = build(NODE, {KEYS[0]: one}, SPEC, {})
    rows = one.values.view(np.uint8)
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), rows) for piece in image.pieces)
    path.write_bytes(bytes(image))
    assert image.digest() == file_digest(path)


def test_rows_that_begin_at_any_byte_are_stored_as_they_are(path):
    raw = b"x" + features(50).values.tobytes()
    values = np.frombuffer(raw, np.uint8)[1:].view(np.float16).reshape(50, 2)
    assert not values.flags.aligned
    path.write_bytes(image_of(Features(values, features(50).times)))
    assert path.read_bytes() == image_of(features(50))


def test_rows_in_another_order_of_memory_are_stored_as_they_read(path):
    values = np.asfortranarray(features(50).values)
    assert image_of(Features(values, features(50).times)) == image_of(features(50))


def test_a_row_that_is_not_there_is_damage_not_another_row(path):
    path.write_bytes(image_of(features()))
    for row in (-1, 1):
        with pytest.raises(Damaged, match="it has 1"):
            ShardFile(path).features(row)


@pytest.mark.parametrize("keys", [(), (b"short",)])
def test_a_shard_needs_keys_of_16_bytes(keys):
    with pytest.raises(BadInput, match="keys of 16 bytes"):
        build(NODE, dict.fromkeys(keys, features()), SPEC, {})


@pytest.mark.parametrize("name", ["a/b", "..", ""])
def test_names_that_hdf5_takes_for_paths_are_refused(name):
    one = Features(features().values, features().times, more={name: features()})
    with pytest.raises(BadInput, match="array"):
        build(NODE, {KEYS[0]: one}, SPEC | {name: SPEC["values"]}, {})


def test_an_origin_that_json_cannot_say_is_refused():
    with pytest.raises(BadInput, match="canonical JSON"):
        build(NODE, {KEYS[0]: features()}, SPEC, {"when": object()})
