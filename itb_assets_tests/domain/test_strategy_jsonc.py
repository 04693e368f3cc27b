"""JSON with comments: values exactly as `json` reads them, places as editors count them, no guesses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb_assets.domain.strategy import parse_jsonc
from itb_assets.domain.strategy.jsonc import Place, scan_jsonc
from itb_assets.errors import ConfigError

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
blanks = st.sampled_from([" ", "\n", "\t", "// a, {] \"'\n", "/* // } */", "/* é\n , */\n", ""])


def _write(value: Any, blank: Any) -> str:
    """Write a value with something blank, drawn anew, wherever white space is legal."""
    if isinstance(value, dict):
        pairs = (f"{blank()}{json.dumps(key)}{blank()}:{_write(item, blank)}" for key, item in value.items())
        body = ",".join(pairs)
        return f"{blank()}{{{body}{blank()}}}{blank()}"
    if isinstance(value, list):
        body = ",".join(_write(item, blank) for item in value)
        return f"{blank()}[{body}{blank()}]{blank()}"
    return f"{blank()}{json.dumps(value, ensure_ascii=False)}{blank()}"


@settings(max_examples=150)
@given(value=values, data=st.data())
def test_any_value_reads_back_whatever_comments_stand_around_it(value: object, data: st.DataObject) -> None:
    read = parse_jsonc(_write(value, lambda: data.draw(blanks))).value
    assert json.dumps(read) == json.dumps(value)


def _refuse(word: str) -> None:
    raise ValueError(word)


@settings(max_examples=300)
@given(st.text(alphabet="{}[]:,\"'/*\\ \n01eE.-+tNaé", max_size=30))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    """Text that JSON's own reader takes gives the same value; other text never raises anything else."""
    try:
        wanted = json.dumps(json.loads(text, parse_constant=_refuse))
    except ValueError:
        wanted = None
    document, problems = scan_jsonc(text)
    if problems or document is None:
        assert problems
        assert wanted is None or {problem.text[:3] for problem in problems} <= {
            "key",
            "thi",
        }  # twice, too large
    else:
        assert wanted in (None, json.dumps(document.value))


def test_slashes_inside_a_string_are_text() -> None:
    document = parse_jsonc('{"url": "https://example.org/*a*/" /* "b": 1 */, // "c": 2\n"d": "/"}')
    assert document.value == {"url": "https://example.org/*a*/", "d": "/"}


def test_every_value_and_key_has_its_place() -> None:
    document = parse_jsonc('{\n  "é": ["ü", {"k": 1}], /* ö */ "b": null\n}')
    assert document.places[("é", 0)] == Place(2, 9)
    assert document.key_places[("é", 1, "k")] == Place(2, 15)
    assert document.places[("b",)] == Place(2, 38)
    assert str(document.place(("b", "not there"))) == "2:38"


def test_a_byte_order_mark_is_no_character() -> None:
    assert parse_jsonc('\ufeff{"a": 1}').places[("a",)] == Place(1, 7)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1,}', "1:8: a comma too many: remove it"),
        ("[1,\n 2,\n]", "2:3: a comma too many"),
        ("[1, /* x */, 2]", "a comma too many"),
        ("{'a': 1}", "1:2: text stands between double quotes, found a single quote"),
        ('{"a": NaN}', "1:7: NaN is not a JSON value"),
        ('{"a": -Infinity}', "1:7: Infinity is not a JSON value"),
        ('{"a": None}', "1:7: None is not a JSON value: write null"),
        ('{"a": 1, "b": 2, "a": 3}', "1:18: key 'a' is given twice, first at 1:2"),
        ('{"a": 01}', "1:8: not valid JSON: expecting ',' delimiter"),
        ('{"a": 1.}', "1:7: not a JSON number"),
        ('{"a": 1e999}', "1:7: this number is too large"),
        ('{"a": ' + "9" * 5000 + "}", "1:7: this number is not valid JSON: too long"),
        ('{"a": "\\q"}', "not valid JSON"),
        ('{"a": "\\u12"}', "1:7: this string is not valid JSON"),
        ('{"a": "x\ny"}', "1:9: not valid JSON: invalid control character"),
        ('{"a": "x', "1:7: not valid JSON: unterminated string"),
        ('{"a": 1', "not valid JSON"),
        ('{"a" 1}', "1:6: not valid JSON: expecting ':' delimiter"),
        ('{"a": 1 /* b }', "1:9: this comment is never closed"),
        ("", "expected one value"),
        ("// nothing", "expected one value"),
        ("{} {}", "1:4: expected one value"),
        ('{"a": 1}\0', "not valid JSON"),
        ("[" * 70 + "]" * 70, "nested deeper than 64 levels"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_jsonc(text, origin="mine.jsonc")
    assert any(problem in found for found in caught.value.problems), caught.value.problems
    assert str(caught.value).startswith("mine.jsonc: ")


def test_commas_and_double_keys_are_all_listed_and_leave_a_document() -> None:
    document, problems = scan_jsonc('{"a": [1, 2,],\n "b": {"c": 1, "c": 2},\n}')
    assert document is not None
    assert document.value == {"a": [1, 2], "b": {"c": 1}}
    assert [str(problem.place) for problem in problems] == ["1:12", "2:16", "2:23"]


def test_an_unquoted_secret_is_not_repeated() -> None:
    _, problems = scan_jsonc('{"api_key": s3cr3t}')
    assert problems
    assert not any("s3cr3t" in str(problem) for problem in problems)
