"""The journal of tags: a change is written whole or not at all."""

import os

import pytest

from latens.explorer.tags import FILE, Tags


def test_a_full_disk_leaves_the_earlier_tags_readable(tmp_path, monkeypatch):
    tags = Tags(tmp_path)
    tags.change("odd", ["a"])
    before = (tmp_path / FILE).read_bytes()
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, line: write(file, line[:10]))
        with pytest.raises(OSError, match="No space"):
            tags.change("odd", ["b"])
    assert (tmp_path / FILE).read_bytes() == before
    tags.change("odd", ["c"])
    assert tags.read() == {"odd": ["a", "c"]}


def test_a_torn_last_line_does_not_count_and_spoils_no_later_one(tmp_path):
    tags = Tags(tmp_path)
    tags.change("odd", ["a"])
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"tag": "od')
    assert tags.read() == {"odd": ["a"]}
    tags.change("odd", ["b"])
    assert tags.read() == {"odd": ["a", "b"]}
