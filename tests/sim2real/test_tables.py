"""CSV files: what is read, and errors that name file, line and column."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import CalibrationError
from legion_sim2real.tables import Table


@pytest.fixture
def write(tmp_path):
    def write_file(text):
        path = tmp_path / "points.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def test_columns_come_in_any_order_beside_others(write):
    table = Table(write("\ufeffb, note ,name,a\r\n\r\n# a comment\r\n 2, x, one ,1e-1\r\n-4,,two,.3\r\n"))
    assert table.numbers(("a", "b"), 10.0, "m").tolist() == [[0.1, 2.0], [0.3, -4.0]]
    assert table.labels == ("one", "two")
    assert table.has(("a", "note"))
    assert not table.has(("a", "c"))


def test_rows_without_names_are_called_by_their_lines(write):
    assert Table(write("a\n\n1\n# x\n2\n")).labels == ("line 3", "line 5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a line with the names of the columns and a line for each row"),
        ("a,b\n", "expected a line with the names of the columns"),
        ("a,b,a\n1,2,3\n", "line 1: column 'a' stands there twice"),
        ("a,b\n1,2\n\n3\n", "line 4: 1 values for 2 columns"),
        ("a,b\n1,2,3\n", "line 2: 3 values for 2 columns"),
        ("a,c\n1,2\n", "no column 'b'; needed: a, b; found: a, c"),
        ("a,b\n1,2\n3,x\n", "line 3, column b: 'x'; expected a number from -10 to 10 m"),
        ("a,b\n1,\n", "line 2, column b: ''; expected a number"),
        ("a,b\nnan,1\n", "line 2, column a: 'nan'; expected a number"),
        ("a,b\n1,inf\n", "line 2, column b: 'inf'; expected a number"),
        ("a,b\n350.5,1\n", "line 2, column a: '350.5'; expected a number from -10 to 10 m"),
        ('a,b\n"1,2\n3,4\n', "points.csv"),
        (b"a,b\n\xff\xfe,1\n", "is not a text file"),
    ],
)
def test_malformed_files_are_refused_where_they_are_wrong(write, text, message):
    path = write(text)
    with pytest.raises(CalibrationError, match=message) as caught:
        Table(path).numbers(("a", "b"), 10.0, "m")
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CalibrationError, match=r"cannot read .*gone.csv: No such file"):
        Table(tmp_path / "gone.csv")


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        Table(path).numbers(("a",), 10.0, "m")
    except CalibrationError as error:
        assert str(path) in str(error)


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=1, max_size=20))
def test_numbers_come_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "numbers.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("a", "b"), *rows])
    assert Table(path).numbers(("a", "b"), 10.0, "m").tolist() == [list(row) for row in rows]
