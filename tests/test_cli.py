"""The command line: every command, called in this process, on small runs that the tests share."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latens
from conftest import make_blobs
from latens import cli
from latens.figures import FIGURES
from latens.images import load_images
from latens.maps import MAPS
from latens.models import MODELS
from latens.networks import NETWORKS
from latens.runs import open_run, record, start_run
from latens.samplers import SAMPLERS
from latens.training.loop import train
from latens.training.recipes import PRECISIONS, RECIPES
from notebook_oracle import NotebookNet
from records import read_record

TINY = ("--epochs", "2", "--latent-dim", "8", "--device", "cpu")


@pytest.fixture(autouse=True)
def _away_from_other_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def latens_says(capsys):
    """Call `latens ARGUMENTS...`; what it printed. It must succeed."""

    def call(*arguments):
        capsys.readouterr()
        assert cli.main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture
def as_json(latens_says):
    """Call with --json: all of stdout is one JSON value."""
    return lambda *arguments: json.loads(latens_says(*arguments, "--json"))


@pytest.fixture
def refused(capsys):
    """Call what must fail: the one line on stderr."""

    def call(*arguments, out=""):
        capsys.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse leaves by this
            code = error.code
        printed = capsys.readouterr()
        assert code == 2
        assert printed.out == out
        line = printed.err.splitlines()[-1]
        stages = ("images: done", "weights, in a process without network: done", "note: ")
        told = [text for text in printed.err.splitlines() if not text.startswith(stages)]
        assert told == [line]
        assert line.startswith("latens: ")
        assert "Traceback" not in printed.err
        return line

    return call


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of the finished run."""
    shutil.copytree(finished_run.path, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def data(finished_run):
    return finished_run.record["data"]["source"]


def arrays_of(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_run_trains_scores_draws_and_says_what_next(tmp_path, latens_says):
    pixels, labels = make_blobs(60)
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    out = tmp_path / "out"
    text = latens_says("run", tmp_path / "blobs.npz", "--out", out, "--seed", 3, *TINY)
    made = open_run(out)
    assert made.record["status"] == "done"
    assert (made.recipe.latent_dim, made.recipe.config.epochs, made.recipe.config.seed) == (8, 2, 3)
    assert text.count("next:") == 1
    assert f"report: {out / 'report.html'}" in text
    assert (out / "report.html").stat().st_size > 10_000
    for score in made.scores["scores"]:
        assert score["name"] in text
    for line in text.splitlines()[-2:]:  # the commands it proposes are ones that the parser takes
        assert cli.parser().parse_args(line.split()[1:]).run == str(out)


def test_resume_goes_on_with_a_stopped_run(blobs_file, as_json, refused):
    images = load_images(blobs_file)
    stopped = start_run(images, RECIPES["fast"](images).with_options(epochs=2, latent_dim=8))
    for _ in record(stopped, train(stopped.model, images, stopped.recipe.config)):
        break
    assert open_run(stopped.path).record["status"] == "stopped"
    line = refused("run", blobs_file, "--resume", "--latent-dim", 9)
    assert line.endswith("leave out --latent-dim")
    assert refused("run", "--resume", "--recipe", "best").endswith("leave out --recipe")
    assert refused("run", blobs_file, "--data", blobs_file).endswith("give DATA without --data")
    answer = as_json("run", "--resume", "--device", "cpu")  # the latest
    assert answer["path"] == str(stopped.path)
    assert (answer["status"], answer["result"]["epochs"]) == ("done", 2)


def test_data_tells_what_is_there(blobs_file, tmp_path, latens_says, as_json):
    facts = as_json("data", blobs_file, "-o", tmp_path / "sheet.png")
    assert (facts["num_train"] + facts["num_test"], facts["shape"]) == (120, [1, 12, 12])
    assert sum(row["train"] + row["test"] for row in facts["classes"]) == 120
    with Image.open(facts["contact_sheet"]) as sheet:
        assert sheet.mode == "L"
        assert min(sheet.size) >= 12
    text = latens_says("data", blobs_file, "--size", "16x24")
    assert "each 1 x 16 x 24" in text


def test_encode_with_a_run_and_with_the_latest(finished_run, data, tmp_path, latens_says, as_json):
    shapes = as_json("encode", finished_run.path, data, "-o", tmp_path / "all.npz")["arrays"]
    arrays = arrays_of(tmp_path / "all.npz")
    assert shapes == {"latents": [240, 8], "ids": [240], "labels": [240], "class_names": [3]}
    assert {name: list(array.shape) for name, array in arrays.items()} == shapes
    assert arrays["ids"].tolist() == [str(row) for row in range(240)]  # the file's own order, not train and then test
    own = finished_run.latents
    place = own["ids"].astype(int).argsort()
    np.testing.assert_allclose(arrays["latents"], own["latents"][place], atol=1e-5)
    assert (arrays["labels"] == own["labels"][place]).all()

    (tmp_path / "runs").mkdir()
    shutil.copytree(finished_run.path, tmp_path / "runs" / "blobs-1")
    text = latens_says("encode", data, "-o", "test.npz", "--part", "test")
    assert text == "test.npz: latents 24 x 8, ids 24, labels 24, class_names 3\n"
    assert (arrays_of("test.npz")["latents"] == finished_run.encode(finished_run.images.test)).all()
    assert as_json("encode", "blobs-1", data, "-o", "e.npz", "--part", "train")["arrays"]["latents"] == [216, 8]


def test_sample_writes_pictures_latents_and_labels(run, tmp_path, latens_says, as_json, refused):
    for sampler in (name for name in SAMPLERS if name != "prior"):
        file = tmp_path / f"{sampler}.npz"
        answer = as_json("sample", run, "--sampler", sampler, "-n", 9, "--seed", 1, "-o", file)
        arrays = arrays_of(file)
        assert answer["arrays"] == {name: list(array.shape) for name, array in arrays.items()}
        assert arrays["images"].shape == (9, 1, 12, 12)
        assert arrays["images"].dtype == np.uint8
        assert arrays["latents"].shape == (9, 8)
    labels = arrays_of(tmp_path / "class-means.npz")["labels"]
    assert set(labels.tolist()) == {0, 1, 2}
    latens_says("sample", run, "--sampler", "gaussian", "-n", 9, "--seed", 1, "-o", tmp_path / "again.npz")
    latens_says("sample", run, "--sampler", "gaussian", "-n", 9, "--seed", 2, "-o", tmp_path / "other.npz")
    first, again, other = (arrays_of(tmp_path / f"{name}.npz")["latents"] for name in ("gaussian", "again", "other"))
    assert (first == again).all()
    assert (first != other).any()
    assert "has no prior to draw from; others can: class-means, " in refused(
        "sample", run, "--sampler", "prior", "-o", tmp_path / "prior.npz"
    )


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_by_its_name(name, finished_run, tmp_path, as_json):
    file = as_json("figure", finished_run.path, name, "-o", tmp_path / "figure.png")["file"]
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 100


def test_figure_options_change_the_figure(run, latens_says):
    def drawn(*arguments):
        return Path(latens_says("figure", run, *arguments).strip()).read_bytes()

    plain = drawn("reconstructions", "--start", 0, "--pairs", 6)
    assert (run / "figures" / "reconstructions.png").read_bytes() == plain
    assert drawn("reconstructions", "--start", 0, "--pairs", 6) == plain
    for other in (("--start", 5, "--pairs", 6), ("--start", 0, "--pairs", 7), ("--pairs", 6, "--autoscale")):
        assert drawn("reconstructions", *other) != plain
    assert drawn("reconstructions", "--start", 0, "--pairs", 6, "--per-row", 3) != plain
    assert drawn("map", "--map", "pca") != drawn("map")
    assert drawn("probe-map", "--map", "pca") != drawn("probe-map")
    assert drawn("samples", "--sampler", "jitter", "-n", 4) != drawn("samples", "--sampler", "jitter", "-n", 5)
    assert drawn("samples", "--seed", 1) != drawn("samples", "--seed", 2)
    assert drawn("contact-sheet", "--seed", 1) != drawn("contact-sheet", "--seed", 2)


def test_map_fits_another_takes_coordinates_and_refits(run, tmp_path, latens_says, as_json, refused):
    before = open_run(run).map("tsne").coordinates
    assert as_json("map", run, "--map", "pca")["points"] == 240
    assert "no coordinates were given" in refused("figure", run, "map", "--map", "given")
    assert "map --refit`" in refused("figure", run, "probe-map", "--refit").replace(f"{run} ", "")

    given = np.random.default_rng(0).normal(size=(240, 2))
    np.save(tmp_path / "good.npy", given)
    np.savez(tmp_path / "good.npz", coordinates=given)
    for name in ("good.npy", "good.npz"):
        answer = as_json("map", run, "--coordinates", tmp_path / name)
        assert answer["map"] == "given"
        assert answer["figures"] == [str(run / "figures" / "map-given.png")]
    np.testing.assert_allclose(open_run(run).map("given").coordinates, given, atol=1e-6)
    latens_says("figure", run, "map", "--map", "given")
    for name, array in {"few": given[:5], "wide": np.zeros((240, 3)), "text": np.full((240, 2), "a")}.items():
        np.save(tmp_path / f"{name}.npy", array)
        assert "(240, 2) are needed" in refused("map", run, "--coordinates", tmp_path / f"{name}.npy")
    np.savez(tmp_path / "other.npz", x=given)
    assert "coordinates" in refused("map", run, "--coordinates", tmp_path / "other.npz")
    assert "no such file" in refused("map", run, "--coordinates", tmp_path / "missing.npy")

    assert len(latens_says("map", run, "--seed", 5, "--refit").splitlines()) == 2
    assert (open_run(run).map("tsne").coordinates != before).any()
    plain = Path(latens_says("figure", run, "probe-map").strip()).read_bytes()
    refit = Path(latens_says("figure", run, "probe-map", "--refit").strip()).read_bytes()
    assert plain != refit
    assert "leave out one" in refused("figure", run, "probe-map", "--refit", "--map", "pca")


def test_score_computes_the_same_again(run, latens_says, as_json):
    before = open_run(run).scores
    (run / "metrics.json").write_text("{}")
    answer = as_json("score", run)
    values = [(score["name"], score["value"]) for score in answer["scores"]]
    assert [name for name, _ in values] == [score["name"] for score in before["scores"]]
    expected = [score["value"] for score in before["scores"]]
    # What features see was rounded to 8 bit, and the last bit of a sum may decide how: one pixel, a thousandth of a score.
    np.testing.assert_allclose([value for _, value in values], expected, rtol=2e-3, atol=1e-5)
    after = open_run(run).scores
    assert after.as_json() == {name: answer[name] for name in after.as_json()}
    assert answer["format"] == 2
    assert answer["verdict"]["best_sampler"] in SAMPLERS
    text = latens_says("score", run)
    assert all(name in text for name, _ in values)


def test_runs_lists_and_shows(finished_run, tmp_path, latens_says, as_json):
    assert as_json("runs") == []
    assert "no runs" in latens_says("runs")
    shutil.copytree(finished_run.path, tmp_path / "runs" / "blobs-1")
    expected = read_record(tmp_path / "runs" / "blobs-1")
    (entry,) = as_json("runs")
    assert entry == {"path": str(Path("runs", "blobs-1")), **expected}
    assert "blobs-1" in latens_says("runs")
    assert as_json("runs", "blobs-1") == expected
    shown = latens_says("runs", finished_run.path)
    for fact in ("done", "216 train, 24 test, 1 x 12 x 12", "latent dimension 8", "fast: 2 epochs", "metrics.json"):
        assert fact in shown


@pytest.mark.heavy
def test_import_makes_a_run_of_the_notebooks_weights(tmp_path, as_json, refused):
    pixels, labels = make_blobs(200, (1, 28, 28))
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    torch.manual_seed(0)
    net = NotebookNet()
    torch.save(net.state_dict(), tmp_path / "state.pt")
    source, out = tmp_path / "blobs.npz", tmp_path / "out"
    answer = as_json("import", tmp_path / "state.pt", source, "--out", out, "--device", "cpu")
    assert answer["status"] == "done"
    assert answer["result"]["imported"] == "state.pt"
    x = torch.from_numpy(np.array(open_run(out).images.test.pixels)) / 255
    with torch.no_grad():
        expected = net.decoder(net.encoder(x))
    np.testing.assert_allclose(open_run(out).reconstruct(x), expected, atol=1e-5)
    assert answer["result"]["test_mse"] == pytest.approx(float((expected - x).square().mean()), rel=1e-4)
    assert "no history" in refused("figure", out, "loss")
    torch.save({"a": torch.zeros(3)}, tmp_path / "wrong.pt")
    assert "the reference experiment's network" in refused(
        "import", tmp_path / "wrong.pt", source, "--out", tmp_path / "no"
    )
    assert "no such file" in refused("import", tmp_path / "gone.pt", source)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("run", "run needs DATA"),
        ("run mnst", "did you mean 'mnist'"),
        ("run no/such/folder", "no/such/folder"),
        ("run blobs.npz --epochs 0", "--epochs: '0' is not a whole number of at least 1"),
        ("run blobs.npz --epochs x", "--epochs"),
        ("run blobs.npz --size 4", "size 4"),
        ("run blobs.npz --size big", "--size"),
        ("run blobs.npz --device nonsense --out new", "unknown device 'nonsense'"),
        ("run blobs.npz --out taken", "taken: already exists"),
        ("run blobs.npz --seed -1", "--seed"),
        ("run --resume", "no run in runs"),
        ("data", "DATA"),
        ("data no/such/folder", "no/such/folder"),
        ("encode nope blobs.npz -o e.npz", "nope: no run there"),
        ("sample nope -o s.npz", "nope: no run there"),
        ("sample nope", "-o"),
        ("figure nope loss", "nope: no run there"),
        ("figure nope nonsense", "contact-sheet"),
        ("map nope", "nope: no run there"),
        ("score nope", "nope: no run there"),
        ("runs nope", "nope: no run there"),
        ("nonsense", "nonsense"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(arguments, told, blobs_file, tmp_path, refused):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    assert told in refused(*arguments.split())


def test_latent_dim_0_is_refused(blobs_file, tmp_path, capsys):
    arguments = ["run", str(blobs_file), "--latent-dim", "0", "--epochs", "1", "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 2
    assert "--latent-dim: '0' is not a whole number of at least 1" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("sample RUN -n 0 -o s.npz", "-n: '0' is not"),
        ("sample RUN --seed -1 -o s.npz", "--seed"),
        ("figure RUN samples --seed -1", "--seed"),
        ("map RUN --seed -1", "--seed"),
        ("figure RUN reconstructions --start -1", "start is -1"),
        ("figure RUN reconstructions --pairs 0", "pairs 0"),
        ("figure RUN samples --per-row 0", "0 columns"),
        ("score RUN --device nonsense", "unknown device 'nonsense'"),
    ],
)
def test_bad_input_about_a_run(arguments, told, run, tmp_path, refused):
    assert told in refused(*arguments.replace("RUN", str(run)).split())


def test_errors_are_json_too_where_json_is_asked_for(refused, capsys):
    message = "nope: no run there (no run.json); there are none in ./runs; `latens run mnist` makes one"
    expected = json.dumps({"error": message, "kind": "RunNotFound"}) + "\n"
    assert refused("runs", "nope", "--json", out=expected) == f"latens: {message}"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation"),
    ],
)
def test_too_little_memory_is_one_line_that_says_what_to_lower(error, monkeypatch, blobs_file, finished_run, refused):
    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr("latens.experiment.start_run", fails)
    said = refused("run", blobs_file, *TINY)
    assert said == "latens: not enough memory; smaller batches (--batch-size) or smaller images (--size) need less"
    monkeypatch.setattr("latens.experiment.score_run", fails)
    assert refused("score", finished_run.path) == "latens: not enough memory; end other programs, or give this one more"


def test_another_error_of_torch_is_no_lack_of_memory(monkeypatch, blobs_file):
    def fails(*arguments, **options):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("latens.experiment.start_run", fails)
    with pytest.raises(RuntimeError, match="shapes differ"):
        cli.main(["run", str(blobs_file), *TINY])


def test_an_interrupted_command_says_how_to_go_on(monkeypatch, blobs_file, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("latens.experiment.load_images", interrupted)
        assert cli.main(["run", str(blobs_file)]) == 130  # there is no run yet that could be named
    assert capsys.readouterr().err.splitlines()[-1] == "latens: stopped"
    monkeypatch.setattr("latens.experiment.encode_run", interrupted)
    assert cli.main(["run", str(blobs_file), "--out", "a run", *TINY]) == 130
    advice = capsys.readouterr().err.splitlines()[-1]
    assert advice == "latens: stopped; to continue: latens run --resume --out 'a run'"
    assert cli.main(["run", "--resume", "--out", "a run", "--device", "cpu"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == advice
    monkeypatch.setattr("latens.experiment.score_run", interrupted)
    assert cli.main(["score", "a run"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "latens: stopped"


def test_latens_alone_shows_three_lines_to_start_with(latens_says):
    text = latens_says()
    starts = [line for line in text.splitlines() if line.startswith("  latens ")]
    assert len(starts) == 3
    assert len(text.splitlines()) == 4


def test_choices_are_the_tables_names():
    (commands,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))

    def choices(command, name):
        commands.choices[command].format_help()  # figures' options are read once they are needed
        return list(next(a.choices for a in commands.choices[command]._actions if a.dest == name))

    for name, table in {"recipe": RECIPES, "network": NETWORKS, "precision": PRECISIONS}.items():
        assert choices("run", name) == list(table)
    assert choices("figure", "figure") == list(FIGURES)
    assert choices("figure", "map") == [*MAPS, "given", "features"]
    assert choices("map", "map") == list(MAPS)
    assert choices("sample", "sampler") == choices("figure", "sampler") == list(SAMPLERS)
    assert all("--json" in command.format_help() for command in commands.choices.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vea", f"unknown model 'vea'; known: {', '.join(MODELS)}"),
        ("autoencoder:noise", "'noise' is no option"),
        ("autoencoder:a=1,a=2", "each option once"),
    ],
)
def test_a_model_that_is_none_is_said(text, message, capsys):
    assert cli.main(["run", "mnist", "--model", text]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("load", "expected"), [(0.1, None), (100.0, "PASSIVE")])
def test_threads_wait_passively_on_a_busy_machine_only(load, expected, monkeypatch, capsys):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0), raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    assert cli.main([]) == 0
    assert os.environ.get("OMP_WAIT_POLICY") == expected
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"


def test_the_module_is_the_command():
    environment = {**os.environ, "PYTHONPATH": str(Path(latens.__file__).parents[1])}
    command = [sys.executable, "-m", "latens", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"latens {latens.__version__}\n", "")
