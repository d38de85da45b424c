from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.extract.vision.openface2_csv import COLUMNS, HEAD, read_openface

REAL = Path(__file__).parents[4] / "shared" / "formats" / "openface2_714_columns_one_row.csv"


def test_knows_709_columns():
    assert len(COLUMNS) == len(set(COLUMNS)) == 709
    assert COLUMNS[0] == "gaze_0_x"
    assert COLUMNS[-1] == "AU45_c"


@pytest.mark.skipif(not REAL.is_file(), reason="needs ../shared")
def test_has_the_order_of_openfaces_own_header_and_reads_its_row():
    header, row = REAL.read_text().splitlines()[:2]
    assert tuple(header.split(",")) == (*HEAD, *COLUMNS)
    table = read_openface(REAL)
    np.testing.assert_array_equal(table.values[0], [float(x) for x in row.split(",")[5:]])
    assert (table.confidence[0], table.success[0], table.starts[0]) == (0.98, True, 0)


def test_reads_by_name_whatever_the_order_and_the_blanks(tmp_path, openface_csv):
    plain, mixed = tmp_path / "plain.csv", tmp_path / "mixed.csv"
    openface_csv(plain, 3)
    openface_csv(mixed, 3, names=["extra", *reversed((*HEAD, *COLUMNS))], blank=" ")
    a, b = read_openface(plain), read_openface(mixed)
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.starts, [0, 0.04, 0.08])
    np.testing.assert_array_equal(b.confidence, [0.98] * 3)
    assert a.values[1, 5] == 1.005  # row + column / 1000


def test_a_picture_lasts_until_the_next_and_the_last_as_long_as_most(tmp_path, openface_csv):
    path = openface_csv(tmp_path / "a.csv", 4, starts=[0.0, 0.04, 0.08, 0.2])
    times = read_openface(path).times()
    np.testing.assert_allclose(times, [[0, 0.04], [0.04, 0.08], [0.08, 0.2], [0.2, 0.24]])


def test_windows_way_of_saying_not_a_number_is_read(tmp_path, openface_csv):
    path = openface_csv(tmp_path / "a.csv", 2)
    path.write_text(path.read_text().replace("1.005", "-nan(ind)"))
    assert np.isnan(read_openface(path).values[1, 5])


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (-2000, r"a.csv: row 3 has \d+ fields, the header 714: it was cut off"),
        (-2, "a.csv ends within its last row: it was cut off"),
    ],
)
def test_refuses_a_file_that_was_cut_off(tmp_path, openface_csv, cut, message):
    path = openface_csv(tmp_path / "a.csv", 3)
    path.write_text(path.read_text()[:cut])
    with pytest.raises(BadInput, match=message):
        read_openface(path)


def test_refuses_what_is_not_openfaces(tmp_path, openface_csv):
    path = tmp_path / "a.csv"
    openface_csv(path, 2, names=[name for name in (*HEAD, *COLUMNS) if name[0] != "p"])
    with pytest.raises(BadInput, match="lacks 46 of OpenFace 2's columns, 'pose_Tx' for one"):
        read_openface(path)
    path.write_text("frame,success\n")
    with pytest.raises(BadInput, match="a.csv holds no row"):
        read_openface(path)
    path.write_text("")
    with pytest.raises(BadInput, match="cut off"):
        read_openface(path)
    path.write_text("frame,success\none,two\n")
    with pytest.raises(BadInput, match="holds something else than numbers"):
        read_openface(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="cannot be read"):
        read_openface(path)


def test_refuses_timestamps_that_do_not_grow(tmp_path, openface_csv):
    path = openface_csv(tmp_path / "a.csv", 2, starts=[0.0, 0.0])
    with pytest.raises(BadInput, match="timestamps of a.csv do not grow: it was not made from a v"):
        read_openface(path)


def test_takes_one_of_several_faces_only_when_told(tmp_path, openface_csv):
    path = openface_csv(tmp_path / "a.csv", 4, starts=[0, 0, 0.04, 0.04], faces=[0, 1, 0, 1])
    with pytest.raises(BadInput, match="holds the faces 0, 1; set face"):
        read_openface(path)
    np.testing.assert_array_equal(read_openface(path, face=1).values[:, 0], [1, 3])
    with pytest.raises(BadInput, match="holds no face 2, only 0, 1"):
        read_openface(path, face=2)
