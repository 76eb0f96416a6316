"""The journal of tags: a change is written whole or not at all."""

import os

import pytest

from latens.errors import RunDamaged, UsageError
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


def test_a_change_is_undone_and_done_again_and_those_of_others_stay(tmp_path):
    mine, theirs = Tags(tmp_path), Tags(tmp_path)
    first = mine.change("odd", ["a", "b"])
    theirs.change("odd", ["b", "c"])  # they tag b, too
    mine.undo(first)
    assert mine.read() == {"odd": ["b", "c"]}
    mine.undo(first, False)
    assert mine.read() == {"odd": ["a", "b", "c"]}
    away = mine.change("odd", ["a", "c"], False)
    assert theirs.read() == {"odd": ["b"]}
    theirs.change("odd", ["a"])
    mine.undo(away)
    assert sorted(mine.read()["odd"]) == ["a", "b", "c"]
    with pytest.raises(UsageError, match=r"is not in tags\.jsonl \(any more\)"):
        mine.undo("gone")


def test_lines_without_a_name_are_read_and_stay(tmp_path):
    (tmp_path / FILE).write_text('{"tag": "old", "on": true, "at": "2026-01-01T00:00:00+00:00", "ids": ["a"]}\n')
    tags = Tags(tmp_path)
    tags.undo(tags.change("old", ["b"]))
    assert tags.read() == {"old": ["a"]}


@pytest.mark.parametrize("line", ['{"undo": "x"}', "[]", '"tag"', '{"undo": "x", "on": 1}'])
def test_a_line_that_is_no_change_is_named(tmp_path, line):
    (tmp_path / FILE).write_text(f"{line}\n")
    with pytest.raises(RunDamaged, match="line 1 is not a change of tags"):
        Tags(tmp_path).read()
