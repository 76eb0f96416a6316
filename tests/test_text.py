"""Names in messages: safe for a terminal, quoted in commands, and lists that say where they are cut."""

import os
import shlex
import sys

import pytest

from latens.text import bytes_text, counted, listed, natural_key, quoted, shown, shown_lines


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain.png", "plain.png"),
        ("café 猫 👩‍👧", "café 猫 👩‍👧"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x00\x07\x7f\x9b", r"\x00\x07\x7f\x9b"),
        ("gnp.\u202eabc", r"gnp.\u202eabc"),
        ("a\u2028b", r"a\u2028b"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
    ],
)
def test_nothing_reaches_the_terminal_but_letters(name, expected):
    assert shown(name) == expected
    shown(name).encode()  # valid UTF-8
    assert shown_lines(f"{name}\nend").endswith("\nend")
    assert not set(shown_lines(name)) & set("\x1b\r\t\x00\u202e")


@pytest.mark.skipif(sys.platform == "win32", reason="cmd.exe quotes by other rules")
@pytest.mark.parametrize("name", ["plain", "my photos", "it's", "-x", "a$b", "café"])
def test_a_shell_reads_a_quoted_name_as_one_word(name):
    (word,) = shlex.split(quoted(name))
    assert word.removeprefix("./") == name
    assert not word.startswith("-")


def test_a_cut_list_says_so():
    assert listed(["a", "b"], limit=2) == "a, b"
    assert listed(["a\n", "b", "c"], limit=2) == r"a\n, b and 1 more"
    assert listed(range(2000), limit=1) == "0 and 1,999 more"
    assert listed([]) == ""


def test_small_numbers_of_bytes_are_not_zero_gigabytes():
    texts = [bytes_text(n) for n in (0, 999, 1000, 999_949, 999_950, 5_000_000, 7e12, 7e15)]
    assert texts == ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "5.0 MB", "7.0 TB", "7000.0 TB"]
    assert (counted(1, "file"), counted(0, "file")) == ("1 file", "0 files")


def test_numbers_in_names_sort_as_numbers():
    names = ["b10", "B9", "a", "10", "9", "cafe\u0301 2", "café 10", "²"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "B9", "b10", "cafe\u0301 2", "café 10", "²"]
