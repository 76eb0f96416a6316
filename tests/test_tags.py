"""The journal of tags: a change is written whole or not at all."""

import errno
import os

import pytest

from latens.errors import RunDamaged, UsageError
from latens.explorer.tags import Tags
from latens.runs import journal
from latens.runs.checking import check_run, forget_damaged
from latens.runs.journal import TAGS
from latens.runs.record import RunFolder


def test_a_full_disk_leaves_the_earlier_tags_readable(tmp_path, monkeypatch):
    tags = Tags(tmp_path)
    tags.change("odd", ["a"])
    before = (tmp_path / TAGS).read_bytes()
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, line: write(file, line[:10]))
        with pytest.raises(OSError, match="No space"):
            tags.change("odd", ["b"])
    assert (tmp_path / TAGS).read_bytes() == before
    tags.change("odd", ["c"])
    assert tags.read() == {"odd": ["a", "c"]}


def test_a_torn_last_line_does_not_count_and_spoils_no_later_one(tmp_path):
    tags = Tags(tmp_path)
    tags.change("odd", ["a"])
    with (tmp_path / TAGS).open("ab") as file:
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
    (tmp_path / TAGS).write_text('{"tag": "old", "on": true, "at": "2026-01-01T00:00:00+00:00", "ids": ["a"]}\n')
    tags = Tags(tmp_path)
    tags.undo(tags.change("old", ["b"]))
    assert tags.read() == {"old": ["a"]}


@pytest.mark.parametrize("line", ['{"undo": "x"}', "[]", '"tag"', '{"undo": "x", "on": 1}'])
def test_a_line_that_is_no_change_is_named(tmp_path, line):
    (tmp_path / TAGS).write_text(f"{line}\n")
    with pytest.raises(RunDamaged, match="line 1 is not a change of tags"):
        Tags(tmp_path).read()


def test_each_changed_byte_and_each_cut_is_noticed_or_loses_only_the_last_change(tmp_path):
    path, tags = tmp_path / TAGS, Tags(tmp_path)
    for one in ("a", "ü", "c"):
        tags.change("odd", [one])
    content, said = path.read_bytes(), []
    ends = [at for at, byte in enumerate(content, 1) if byte == ord("\n")]
    silent = []
    for at in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[at] ^= 1 << bit
            path.write_bytes(changed)
            try:
                if tags.read() != {"odd": ["a", "ü", "c"]}:
                    silent.append((at, bit))
            except RunDamaged as error:
                said.append(str(error))
        path.write_bytes(content[:at])
        whole = sum(end <= at + 1 for end in ends)  # without its end mark, a line is still whole
        assert len(tags.read().get("odd", [])) == whole
    assert silent == []
    assert all(f"{path}: line " in one and "\n" not in one for one in said)


def test_a_damaged_line_is_put_aside_and_the_others_stay(tmp_path):
    folder = RunFolder.create(
        tmp_path / "run", {"format": 1, "status": "stopped", "created": "", "data": {}, "recipe": {}}
    )
    path, tags = folder.path / TAGS, Tags(folder.path)
    for one in "abc":
        tags.change("odd", [one])
    assert check_run(folder.path) == []
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"B"'))
    (damage,) = check_run(folder.path)
    assert (damage.name, damage.rebuilt) == (TAGS, True)
    assert "line 2 is not a change of tags (its check sum differs)" in damage.problem
    forget_damaged(folder.path)
    assert tags.read() == {"odd": ["a", "c"]}
    assert b'"B"' in (folder.path / f"{TAGS}.damaged").read_bytes()
    assert check_run(folder.path) == []


def test_what_comes_after_a_damaged_end_is_a_line_of_its_own(tmp_path):
    path, tags = tmp_path / TAGS, Tags(tmp_path)
    tags.change("odd", ["a"])
    for end in (b"", b"X"):  # the last line's end is missing, or another byte
        path.write_bytes(path.read_bytes()[:-1] + end)
        assert "a" in tags.read()["odd"]
        tags.change("odd", ["b"])
        assert tags.read() == {"odd": ["a", "b"]}


def test_an_error_of_the_disk_while_tagging_names_the_file_and_leaves_the_earlier_tags(tmp_path, monkeypatch):
    path, tags = tmp_path / TAGS, Tags(tmp_path)
    tags.change("odd", ["a"])
    before = path.read_bytes()

    def fails(file):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match=r"error.*tags\.jsonl"):
            tags.change("odd", ["b"])
    assert path.read_bytes() == before


def test_a_pipe_in_place_of_the_tags_is_refused(tmp_path):
    os.mkfifo(tmp_path / TAGS)
    for act in (Tags(tmp_path).read, lambda: Tags(tmp_path).change("odd", ["a"])):
        with pytest.raises(RunDamaged, match="not a regular file"):
            act()


def test_a_line_without_a_check_sum_is_one_of_an_earlier_version(tmp_path):
    (tmp_path / TAGS).write_text('{"tag": "odd", "on": true, "ids": ["a"], "sun": "00000000"}\n')
    with pytest.raises(RunDamaged, match="its check sum is missing"):
        Tags(tmp_path).read()


def test_only_new_lines_are_parsed_and_a_changed_old_one_is_noticed(tmp_path, monkeypatch):
    parsed = []
    change_in = journal._change_in
    monkeypatch.setattr(journal, "_change_in", lambda line: (line and parsed.append(line)) or change_in(line))
    tags = Tags(tmp_path)
    for one in "abc":
        tags.change("odd", [one])
    assert tags.read() == {"odd": ["a", "b", "c"]}
    assert len(parsed) == 3
    tags.change("odd", ["d"])
    without_end = b'{"tag": "by hand", "on": true, "ids": ["e"]}'
    tags.path.write_bytes(tags.path.read_bytes() + without_end)
    assert tags.read() == tags.read() == {"odd": ["a", "b", "c", "d"], "by hand": ["e"]}
    tags.undo(tags.change("odd", ["f"]))
    assert tags.read() == {"odd": ["a", "b", "c", "d"], "by hand": ["e"]}
    parsed.clear()
    assert tags.read() == {"odd": ["a", "b", "c", "d"], "by hand": ["e"]}
    assert not parsed

    lines = tags.path.read_bytes()
    tags.path.write_bytes(lines.replace(b'["b"]', b'["B"]'))
    with pytest.raises(RunDamaged, match="line 2 is not a change of tags"):
        tags.read()
    tags.path.write_bytes(lines[: lines.index(b"\n") + 1])
    assert tags.read() == {"odd": ["a"]}
    tags.path.unlink()
    assert tags.read() == {}


def test_few_journals_stay_in_memory(tmp_path):
    for number in range(3 * journal.JOURNALS_KNOWN):
        folder = tmp_path / str(number)
        folder.mkdir()
        Tags(folder).change("odd", ["a"])
        assert Tags(folder).read() == {"odd": ["a"]}
    assert len(journal._KNOWN) == journal.JOURNALS_KNOWN
    kept = set(journal._KNOWN)
    Tags(folder).change("odd", ["b"])
    assert Tags(folder).read() == {"odd": ["a", "b"]}
    assert set(journal._KNOWN) == kept  # a longer one takes no other's place
