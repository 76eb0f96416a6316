"""The token and port of the explorer are kept, so that bookmarks survive a restart, and nobody else can read them."""

import json
import os
import stat

import pytest

from latens.errors import UsageError
from latens.explorer import View
from latens.explorer.kept import kept_in, kept_of
from latens.explorer.serving import Serving, serve


@pytest.fixture
def said(monkeypatch, finished_run, own_cache):
    """Serve a run and stop at once; what was printed."""

    def start(kept, port=0):
        lines = []
        monkeypatch.setattr(Serving, "run", lambda self: self.socket.close())
        serve(View(finished_run), open_page=False, say=lines.append, kept=kept, port=port)
        return "\n".join(lines)

    return start


def test_a_second_start_has_the_same_address(said, finished_run):
    first, second = (said(kept_of(finished_run)) for _ in range(2))
    assert first == second
    assert "http://127.0.0.1:" in first


def test_only_the_user_can_read_the_file(said, finished_run, own_cache):
    said(kept_of(finished_run))
    (path,) = (own_cache / "explorer").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = kept_of(finished_run).token
    path.chmod(0o644)  # somebody may have read it
    assert kept_of(finished_run).token != before


def test_each_run_has_its_own(finished_run, tmp_path, own_cache):
    import shutil

    import latens

    other = latens.open_run(shutil.copytree(finished_run.path, tmp_path / "copy"))
    assert kept_of(finished_run).token != kept_of(other).token
    assert "explorer" not in {path.name for path in finished_run.path.iterdir()}


def test_a_port_that_is_taken_is_said_and_the_bookmark_kept(said, finished_run):
    said(kept_of(finished_run))
    kept = kept_of(finished_run)
    busy = Serving(View(finished_run), kept=kept)
    assert busy.port == kept.port
    text = said(kept)
    assert f"port {kept.port}, of the address that was used last, is taken" in text
    busy.socket.close()
    assert kept_of(finished_run) == kept


def test_a_token_file_is_made_and_used(said, tmp_path):
    path = tmp_path / "new" / "token.json"
    kept = kept_in(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    address = said(kept)
    assert said(kept_in(path)) == address
    assert kept.token in address


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "holds no token"),
        ('{"token": "short", "port": 0}', "holds no token"),
        (json.dumps({"token": "a" * 24, "port": "80"}), "holds no token"),
        (json.dumps({"token": "../../../../etc/passwd-aaaa", "port": 80}), "holds no token"),
        ("[]", "holds no token"),
    ],
)
def test_what_is_no_token_file_is_refused(tmp_path, content, words):
    path = tmp_path / "token.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match=words):
        kept_in(path)


def test_a_token_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "token.json"
    kept_in(path)
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        kept_in(path)
    with pytest.raises(UsageError, match="is no file"):
        kept_in(tmp_path)


def test_a_cache_that_cannot_be_written_costs_the_bookmark_only(said, finished_run, own_cache):
    own_cache.write_text("a file where the folder should be")
    assert "http://127.0.0.1:" in said(kept_of(finished_run))


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_the_command_refuses_such_a_file_in_one_line(finished_run, tmp_path, capsys):
    from latens.cli import main

    path = tmp_path / "token.json"
    path.write_text("{}")
    path.chmod(0o644)
    assert main(["explore", str(finished_run.path), "--no-open", "--token-file", str(path)]) == 2
    assert "chmod 600" in capsys.readouterr().err
