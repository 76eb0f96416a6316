"""`latens doctor` and `latens completion`; and that words and help are answered without numpy."""

import json
import shutil
import subprocess
import sys

import pytest

import latens
from latens.cli import main, parser
from latens.cli.completion import SHELLS
from latens.doctor import missing_of_extras
from latens.text import bytes_text


def test_doctor_tells_versions_device_cache_and_extras(capsys, monkeypatch, own_cache):
    own_cache.mkdir()
    (own_cache / "kept").write_bytes(bytes(3000))
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    import torch

    assert facts["versions"]["latens"] == latens.__version__
    assert facts["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert facts["cache"]["folder"] == str(own_cache)
    assert facts["cache"]["bytes"] == 3000
    assert facts["cache"]["writable"]
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.split()[:4] == ["latens", latens.__version__, "python", facts["versions"]["python"]]
    assert f"{own_cache}: {bytes_text(3000)} used" in said


def test_what_an_extra_lacks(monkeypatch):
    required = [
        "torch>=2",
        'onnx>=1.17 ; extra == "onnx"',
        'no-such-package>=1; extra == "onnx"',
        "numpy ; extra == 'some'",
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: required)
    versions = {"onnx": "1.17", "numpy": "2"}
    monkeypatch.setattr("latens.doctor._version", lambda name: versions.get(name, ""))
    assert missing_of_extras() == {"onnx": ["no-such-package"], "some": []}


def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch, capsys):
    monkeypatch.setattr("latens.doctor._cache", lambda: {"folder": "/x", "bytes": 0, "free": 0, "writable": False})
    assert main(["doctor"]) == 0
    assert "problem: the cache /x can't be written; set LATENS_CACHE" in capsys.readouterr().out


@pytest.fixture(scope="module")
def scripts():
    from latens.cli.completion import script_for

    return {shell: script_for(shell, parser()) for shell in SHELLS}


def completed_by_bash(script, *words):
    """What bash offers behind some words, the last of which is being typed."""
    line = " ".join(f"'{word}'" for word in words)
    asked = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _latens; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes_commands_options_and_choices(scripts):
    bash = scripts["bash"]
    assert completed_by_bash(bash, "latens", "com") == ["compare", "completion"]
    assert completed_by_bash(bash, "latens", "run", "--net") == ["--network"]
    assert completed_by_bash(bash, "latens", "run", "--network", "") == list(latens.NETWORKS)
    assert completed_by_bash(bash, "latens", "figure", "pro") == ["probe", "probe-noise", "probe-map"]
    assert completed_by_bash(bash, "latens", "run", "--out", "") == []  # then the shell completes files
    assert completed_by_bash(bash, "latens", "completion", "")[-3:] == ["bash", "zsh", "fish"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_takes_its_script(scripts, tmp_path):
    script = (
        f"autoload -U compinit && compinit -u -d {tmp_path}/dump\n{scripts['zsh']}\nprint -r -- ${{_comps[latens]}}"
    )
    done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=True)
    assert "_latens" in done.stdout
    assert not done.stderr


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes_commands_options_and_choices(scripts):
    def completed(line):
        asked = f"{scripts['fish']}\ncomplete -C '{line}'"
        done = subprocess.run(["fish", "--no-config", "-c", asked], capture_output=True, text=True, check=True)
        assert not done.stderr
        return [one.partition("\t")[0] for one in done.stdout.splitlines()]

    assert completed("latens com") == ["compare", "completion"]
    assert completed("latens run --networ") == ["--network"]
    assert set(completed("latens run --network ")) == set(latens.NETWORKS)


@pytest.mark.parametrize("words", [["--help"], ["nothing"], ["run", "--epochs", "none"], ["runs", "--help"]])
def test_help_and_wrong_words_are_answered_without_numpy(words):
    code = (
        "import sys\nfrom latens.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "assert not {'numpy', 'torch', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)


def test_images_that_are_not_there_are_said_without_torch(tmp_path):
    code = "import sys\nfrom latens.cli import main\nassert main(sys.argv[1:]) == 2\nassert 'torch' not in sys.modules"
    for words in (["run", str(tmp_path / "nothing")], ["compare", str(tmp_path / "nothing")], ["explore", "nothing"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "no data set, folder or file" in done.stderr or "no run" in done.stderr
