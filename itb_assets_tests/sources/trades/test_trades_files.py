"""Files as people have them: marked, re-saved, torn, hostile; all that is wrong is said at once."""

from __future__ import annotations

import gzip
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trade_files import GLUED_HEADER, GLUED_ROWS, PLAIN_HEADER, PLAIN_ROWS, line, write_lines

from itb_assets.errors import InputError
from itb_assets.sources.trades import BadLine, read_fills
from itb_assets.sources.trades.lines import MAX_LINE_BYTES


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_marks_and_line_ends_make_no_difference(tmp_path, end, mark, last):
    for name, lines in (("a.csv", [GLUED_HEADER, *GLUED_ROWS]), ("a.jsonl", [line(), line(trade_id="2")])):
        plain = read_fills(write_lines(tmp_path / name, lines))
        content = mark + end.join(text.encode() for text in ["", *lines, ""]) + (end if last else b"")
        (tmp_path / f"other-{name}").write_bytes(content)
        assert read_fills(tmp_path / f"other-{name}") == plain


def test_all_bad_lines_are_reported_and_nothing_is_imported(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [line().encode(), b"{", b"", line(qty=0).encode(), b'{"a": "\xff"}', b"{}\0"]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError) as caught:
        read_fills(path)
    told = str(caught.value)
    assert "4 bad lines beside 1 good, nothing was imported" in told
    for expected in (
        "line 2: it is no JSON",
        "line 4: quantity is 0",
        "line 5: it is no UTF-8",
        "line 6: it holds a NUL",
    ):
        assert expected in told
    found = read_fills(path, skip_bad=True)
    assert len(found.fills) == 1
    assert [bad.number for bad in found.bad_lines] == [2, 4, 5, 6]


def test_a_message_is_cut_but_the_report_is_whole(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", ["{"] * 250)
    with pytest.raises(InputError, match="and 150 more lines") as caught:
        read_fills(path)
    assert "line 100:" in str(caught.value)
    assert [bad.number for bad in read_fills(path, skip_bad=True).bad_lines] == [*range(1, 251)]


def test_a_line_without_end_does_not_fill_memory(tmp_path):
    """A line of 60 MiB is skipped in pieces; the lines around it are read."""
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(line().encode() + b"\n")
        for _ in range(60):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + line(trade_id="2").encode())
    tracemalloc.start()
    found = read_fills(path, skip_bad=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [fill.trade_id for fill in found.fills] == ["771", "2"]
    assert found.bad_lines == (BadLine(2, f"it is longer than {MAX_LINE_BYTES:,} bytes"),)
    assert peak < 8 << 20


def test_a_line_of_the_longest_length_is_read(tmp_path):
    room = MAX_LINE_BYTES - len(line(raw_data={"x": ""})) - 1
    found = read_fills(write_lines(tmp_path / "a.jsonl", [line(raw_data={"x": "y" * room})]))
    assert len(found.fills) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"\n \r\n", "it is empty"),
        ("a.csv", b"PK\x03\x04rest", "a zip or .xlsx file"),
        ("a.csv", gzip.compress(b"x", mtime=0), "gzip"),
        ("a.csv", GLUED_HEADER.encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        ("a.csv", b"PAR1....PAR1", "a parquet file"),
        ("a.csv", b"\xe9t\xe9,a\n", "line 1: it is no UTF-8 text"),
        ("a.csv", b'"a,b\n', "line 1: it is no line of CSV"),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_fills(tmp_path / name, skip_bad=True)
    assert str(tmp_path / name) in str(caught.value)


def test_a_file_that_cannot_be_opened_is_told(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path, tmp_path / "a\nb"):
        with pytest.raises(InputError, match="cannot be read"):
            read_fills(path)


def test_json_lines_whose_first_line_is_torn_are_still_json_lines(tmp_path):
    found = read_fills(write_lines(tmp_path / "a.jsonl", ["rice: 5}", line()]), skip_bad=True)
    assert (found.format, len(found.fills), found.bad_lines[0].number) == ("legacy_jsonl", 1, 1)


def test_an_export_of_no_trades_is_no_error(tmp_path):
    found = read_fills(write_lines(tmp_path / "a.csv", [PLAIN_HEADER]))
    assert (found.fills, found.bad_lines) == ((), ())


@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.jsonl"]), st.integers(0, 2))
def test_no_bytes_break_the_reader(tmp_path_factory, content, name, before):
    """Whatever lies in a file, it is read or refused in our words."""
    path = tmp_path_factory.getbasetemp() / name
    starts = {"a.csv": ["", GLUED_HEADER, PLAIN_HEADER], "a.jsonl": ["", line(), "{"]}
    path.write_bytes(starts[name][before].encode() + b"\n" + content)
    with suppress(InputError):
        found = read_fills(path, skip_bad=True)
        assert all(bad.problem for bad in found.bad_lines)


@given(st.text(alphabet="0123456789.,eE+-BTCUSDNA\"' {}:", max_size=60), st.integers(0, 7))
def test_no_field_breaks_the_reader(tmp_path_factory, text, position):
    """A row with any text in any field is read as a trade or reported."""
    row = PLAIN_ROWS[2].split(",")
    row[position] = text
    path = write_lines(tmp_path_factory.getbasetemp() / "field.csv", [PLAIN_HEADER, ",".join(row)])
    found = read_fills(path, skip_bad=True)
    assert len(found.fills) + len(found.bad_lines) == 1
