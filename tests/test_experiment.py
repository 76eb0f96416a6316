"""The whole experiment: runs of unlabelled images and of a Dataset, resumed and imported runs, and their report."""

import io
import shlex
import shutil

import html5lib
import numpy as np
import pytest
import torch

import latens
from conftest import make_blobs
from latens import cli
from latens.errors import ImagesNotFound, RunError, UnknownName, UsageError
from latens.experiment import import_run
from latens.figures import maps
from latens.figures.of_run import draw
from latens.images import load_images
from latens.progress import Lines, Silent
from latens.report.from_run import command_of, story_of
from latens.runs import open_run, start_run
from latens.runs.run import TEST
from latens.samplers.class_means import ClassMeansSampler
from latens.training.recipes import RECIPE_OPTIONS, RECIPES
from notebook_oracle import NotebookNet

XHTML = "{http://www.w3.org/1999/xhtml}"


def words_of_report(run):
    """The report's text; it must be valid HTML."""
    parser = html5lib.HTMLParser(strict=True, tree=html5lib.getTreeBuilder("etree"))
    tree = parser.parse((run.path / "report.html").read_text(encoding="utf-8"))
    body = next(tree.iter(f"{XHTML}body"))
    return " ".join("".join(body.itertext()).split())


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """A run on pictures without labels, and what it said on the way."""
    folder = tmp_path_factory.mktemp("unlabelled")
    np.save(folder / "blobs.npy", make_blobs(120)[0][:, 0])
    said = io.StringIO()
    run = latens.run(
        str(folder / "blobs.npy"), out=folder / "run", epochs=1, latent_dim=8, device="cpu", progress=Lines(said)
    )
    return run, said.getvalue()


def test_a_run_without_labels_is_complete(unlabelled):
    run, said = unlabelled
    assert run.record["status"] == "done"
    assert "labels" not in run.latents
    assert "note: no test part" in said
    assert "latent dimension 8, 1 epochs" in said
    assert "training: done" in said
    assert (run.path / "figures" / "map-tsne.png").exists()
    assert not (run.path / "figures" / "class-errors.png").exists()


def test_without_labels_clusters_stand_in_and_it_is_said(unlabelled, monkeypatch):
    run, _ = unlabelled
    with np.load(run.path / "probe.npz") as probe:
        clusters, names, images = probe["clusters"], probe["names"].tolist(), probe["images"]
    assert names == [f"cluster {k}" for k in range(len(names))]
    assert images.shape == (3, len(names), 1, 12, 12)
    assert len(clusters) == len(run.of_part("latents", run.mapped_part))
    # Each latent belongs to the cluster with the nearest mean.
    latents = run.of_part("latents", run.mapped_part)
    means = run_means(run)
    distances = np.linalg.norm(latents[:, None] - means[None], axis=2)
    np.testing.assert_allclose(distances[np.arange(len(latents)), clusters], distances.min(1), rtol=1e-5)

    titles = []
    real = maps.latent_map
    monkeypatch.setattr(maps, "latent_map", lambda *given: titles.append(given[3]) or real(*given))
    draw(run, "map", out=run.path / "figures" / "again.png")
    (run.path / "figures" / "again.png").unlink()
    assert "k-means cluster as there are no labels" in titles[0]
    assert "cluster" in words_of_report(run)


def run_means(run):
    """The means of the clusters, by the sampler that the probe is made with, without noise."""
    sampler = ClassMeansSampler(noise_std=0.0).fit(run.of_part("latents", run.mapped_part), None)
    return sampler.sample(len(sampler.classes), 0, sampler.classes)


def test_without_labels_what_needs_them_is_left_out_and_noted(unlabelled):
    run, _ = unlabelled
    names = {score["name"] for score in run.scores["scores"]}
    assert names
    assert not any("accuracy" in name for name in names)
    assert "label" in " ".join(run.scores["notes"].values())
    with pytest.raises(RunError, match="no labels; there are no classes"):
        draw(run, "class-errors")


def test_scores_agree_with_the_arrays_that_are_kept(finished_run):
    run = finished_run
    values = {(score["group"], score["name"]): score["value"] for score in run.scores["scores"]}
    mse = float(np.square(run.reconstruct(run.images.test) - run.images.test.pixels / 255.0).mean())
    assert run.of_part("squared_error", TEST).mean() == pytest.approx(mse, rel=1e-5)
    assert run.record["result"]["test_mse"] == pytest.approx(mse, rel=1e-4)
    assert any(
        group == "reconstruction" and value == pytest.approx(mse, rel=1e-4) for (group, _), value in values.items()
    )


def test_a_dataset_is_a_source(blobs_file, tmp_path):
    images = load_images(blobs_file, size=16)
    run = latens.run(images, out=tmp_path / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())
    assert run.record["status"] == "done"
    assert run.image_shape == (1, 16, 16)
    again = open_run(tmp_path / "run")
    assert again.images.fingerprint == images.fingerprint
    assert shlex.split(command_of(again, images))[-2:] == ["--size", "16"]
    assert "--size 16" in words_of_report(again)


def test_nothing_is_left_of_a_run_that_could_not_start(blobs_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImagesNotFound):
        latens.run("no/such/folder", progress=Silent())
    with pytest.raises(UnknownName, match="unknown recipe 'slow'; known: best, fast, generative, notebook"):
        latens.run(blobs_file, recipe="slow", progress=Silent())
    with pytest.raises(UnknownName, match="unknown option 'epoch'"):
        latens.run(blobs_file, epoch=3, progress=Silent())
    with pytest.raises(UsageError, match="epochs is 0"):
        latens.run(blobs_file, epochs=0, progress=Silent())
    assert not (tmp_path / "runs").exists()


def test_resuming_a_finished_run_changes_nothing(finished_run, tmp_path):
    shutil.copytree(finished_run.path, tmp_path / "copy")
    before = open_run(tmp_path / "copy")
    weights, latents, scores = before.checked("model.safetensors").read_bytes(), before.latents, before.scores
    after = latens.resume(tmp_path / "copy", device="cpu", progress=Silent())
    assert after.record["status"] == "done"
    assert after.checked("model.safetensors").read_bytes() == weights
    assert after.history == before.history
    assert after.record["result"] == before.record["result"]
    np.testing.assert_array_equal(after.latents["latents"], latents["latents"])
    assert after.scores == scores


def test_a_diverged_run_is_not_gone_on_with(finished_run, tmp_path):
    shutil.copytree(finished_run.path, tmp_path / "copy")
    open_run(tmp_path / "copy").update(status="diverged", error="the loss was nan in epoch 1")
    with pytest.raises(RunError, match=r"the loss was nan in epoch 1; .* start a new one"):
        latens.resume(tmp_path / "copy", progress=Silent())


def test_an_imported_run_says_so(tmp_path):
    pixels, labels = make_blobs(80, (1, 28, 28))
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    torch.manual_seed(0)
    torch.save(NotebookNet().state_dict(), tmp_path / "mine.pt")
    run = import_run(
        tmp_path / "mine.pt", tmp_path / "blobs.npz", out=tmp_path / "run", device="cpu", progress=Silent()
    )
    assert run.record["status"] == "done"
    assert run.recipe.latent_dim == 64
    assert run.history == []
    assert not (run.path / "figures" / "loss.png").exists()
    assert (run.path / "figures" / "probe.png").exists()
    assert "imported from mine.pt" in words_of_report(run)


def test_the_report_tells_the_story_and_how_to_repeat_it(finished_run):
    text = words_of_report(finished_run)
    source = finished_run.record["data"]["source"]
    model = "--model autoencoder --latent-dim 8 --network convolutional"
    assert f"latens run {source} {model} --epochs 2" in text
    for fact in ("216", "24", latens.__version__, torch.__version__):
        assert fact in text
    story = story_of(finished_run, finished_run.images)
    assert story.command == command_of(finished_run, finished_run.images)
    assert [name for name in ("loss", "map-tsne", "probe") if name not in story.figures] == []
    assert len(story.worst) == 20
    errors = [error for _, error in story.worst]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epochs": 7, "seed": 3},
        {"latent_dim": 1},
        {"recipe": "notebook", "latent_dim": 32, "batch_size": 16},
        {"learning_rate": 0.0005, "precision": "bfloat16"},
        {"model": "autoencoder:sparsity=0.001"},
    ],
)
def test_the_command_of_a_run_asks_for_that_run(options, blobs, tmp_path):
    given = dict(options)
    recipe = RECIPES[given.pop("recipe", "fast")](blobs).with_options(**given)
    run = start_run(blobs, recipe, tmp_path / "a run")
    words = shlex.split(command_of(run, blobs))
    assert words[:3] == ["latens", "run", blobs.source]
    assert len(words) == 3 + 2 * len(options)  # what is as the recipe has it is not said
    args = cli.parser().parse_args(words[1:])
    asked = RECIPES[args.recipe or "fast"](blobs).with_options(**{name: getattr(args, name) for name in RECIPE_OPTIONS})
    assert asked == recipe
