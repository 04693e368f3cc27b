"""A demo's data root: what an earlier demo noted there, also when that note is torn."""

from __future__ import annotations

from datetime import timedelta

import pytest

from itb_assets.demo.session import MARKER, demo_settings, is_demo


def test_a_second_demo_keeps_the_start_of_the_first(tmp_path):
    assert not is_demo(tmp_path)
    with demo_settings(tmp_path, days=30) as first:
        assert is_demo(tmp_path)
    with demo_settings(tmp_path, days=10) as second:
        assert second.start == first.start


@pytest.mark.parametrize("torn", [b"", b'{"start": "2024-', b"7", b'{"start": 5}', b"\xff"])
def test_a_torn_note_is_written_anew(tmp_path, torn):
    with demo_settings(tmp_path, days=30) as first:
        pass
    (tmp_path / MARKER).write_bytes(torn)
    with demo_settings(tmp_path, days=30) as second:
        assert abs(second.start - first.start) <= timedelta(days=1)
    assert [file.name for file in (tmp_path / MARKER).parent.iterdir()] == [MARKER.name]
