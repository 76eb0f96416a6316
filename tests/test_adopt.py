"""Adopted models: scored like any other run, with clear errors for wrong functions."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import latens
from conftest import make_blobs
from latens.cli import main
from latens.errors import RunError, UsageError
from latens.figures.network_stages import network_stages
from latens.images import load_images
from latens.latents import encode_images
from latens.models.adopted import AdoptedModel, latent_shape_of
from latens.progress import Silent
from latens.runs import adopt_functions, open_run

DIM = 6


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pixels, labels = make_blobs(240)
    path = tmp_path_factory.mktemp("adopt") / "blobs.npz"
    np.savez(path, images=pixels[:, 0], labels=labels)
    return path


@pytest.fixture(scope="module")
def images(file):
    return load_images(file)


@pytest.fixture(scope="module")
def functions(images):
    pca = PCA(DIM, svd_solver="full").fit(images.train.pixels.reshape(len(images.train), -1) / 255)
    return lambda x: pca.transform(x.reshape(len(x), -1)), pca.inverse_transform


@pytest.fixture(scope="module")
def adopted(functions, images, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "pca"
    return latens.adopt(*functions, images, out=out, name="PCA", progress=Silent())


def values(run):
    return {score["name"]: score["value"] for score in run.scores["scores"]}


def test_adopted_pca_has_the_error_of_pca(adopted):
    scores = values(adopted)
    assert scores["mse"] == pytest.approx(scores["pca_mse"], rel=1e-5)
    assert adopted.record["result"]["test_mse"] == pytest.approx(scores["mse"], rel=1e-5)
    assert adopted.record["status"] == "done"
    assert (adopted.path / "report.html").exists()


def test_the_functions_of_a_trained_run_get_the_same_scores_when_adopted(finished_run, tmp_path):
    """Its own functions, so all scores are the same; 240 images are less than a batch here, more than two there."""
    again = latens.adopt(
        finished_run.encode,
        finished_run.decode,
        finished_run.images,
        out=tmp_path / "again",
        batch_size=100,
        progress=Silent(),
    )
    wanted, found = values(finished_run), values(again)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        # Convolutions add up in another order in another batch; accuracies are shares of a few images.
        assert found[name] == pytest.approx(value, rel=1e-3, abs=0.03 if "accuracy" in name else 1e-3), name


def test_an_opened_adopted_run_has_its_stored_results_and_explains_how_to_get_its_functions_back(adopted, images):
    run = open_run(adopted.path)
    assert (run.latents["latents"] == adopted.latents["latents"]).all()
    assert run.map("tsne").coordinates.shape == (240, 2)
    assert values(run) == values(adopted)
    assert run.sampler("gaussian").sample(3).shape == (3, DIM)
    for call in (lambda: run.encode(images.test), lambda: run.decode(np.zeros((1, DIM))), lambda: run.sample(2)):
        with pytest.raises(RunError, match=r"latens\.adopt\(encode, decode, images, out="):
            call()


def test_adopting_again_completes_a_run_without_computing_again(adopted, functions, images):
    calls = []
    encode = lambda x: calls.append(len(x)) or functions[0](x)  # noqa: E731
    run = latens.adopt(encode, functions[1], images, out=adopted.path, progress=Silent())
    assert sum(calls) < 100
    assert np.allclose(run.encode(images.test), adopted.encode(images.test))
    assert run.sample(4, "gaussian").images.shape == (4, 1, 12, 12)
    assert run.record["created"] == adopted.record["created"]


def test_adopting_again_with_other_functions_or_images_is_refused(adopted, functions, images, finished_run, blobs):
    encode, decode = functions
    with pytest.raises(RunError, match="other images"):
        adopt_functions(encode, decode, blobs, adopted.path)
    with pytest.raises(RunError, match="other latents"):
        adopt_functions(lambda x: encode(x)[:, ::-1], decode, images, adopted.path)
    for other in (lambda z: decode(z)[:, ::-1], lambda z: decode(z) + 0.01, lambda z: np.zeros((len(z), 144))):
        with pytest.raises(RunError, match="decode gives other images than those in the run"):
            adopt_functions(encode, other, images, adopted.path)
    with pytest.raises(RunError, match="6 numbers, these functions' 144"):
        adopt_functions(lambda x: x.reshape(len(x), -1), lambda z: z, images, adopted.path)
    with pytest.raises(RunError, match="that latens trained"):
        adopt_functions(encode, decode, images, finished_run.path)


def test_resuming_and_commands_on_an_adopted_folder(adopted, capsys, tmp_path):
    path = tmp_path / "pca"
    shutil.copytree(adopted.path, path)
    assert main(["run", "--resume", "--out", str(path)]) == 2
    assert "latens.adopt(encode, decode, images" in capsys.readouterr().err
    assert main(["runs", str(path)]) == 0
    assert "PCA (adopted), latent dimension 6" in " ".join(capsys.readouterr().out.split())
    assert main(["review", str(path)]) == 0
    assert main(["figure", str(path), "network"]) == 0
    report = (path / "report.html").read_text()
    assert "latens.adopt(encode, decode, " in report
    assert "was adopted as two functions" in report
    assert "0 times over" not in report


# ---- what functions may return


X = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 10), dtype=np.uint8)


@pytest.fixture(scope="module")
def colour():
    return load_images(X)


def maps(x):
    """Latents that are maps: 4 x 5 of 3 channels."""
    return x.reshape(len(x), 3, 4, 2, 5, 2).mean((3, 5))


def back(z):
    return z.repeat(2, axis=2).repeat(2, axis=3)


@pytest.mark.parametrize("kind", ["array", "tensor", "bfloat16", "float64"])
def test_latents_that_are_maps_are_flattened_and_restored(colour, tmp_path, kind):
    as_kind = {
        "array": lambda a: a,
        "tensor": lambda a: torch.from_numpy(a).requires_grad_(),
        "bfloat16": lambda a: torch.from_numpy(a).bfloat16(),
        "float64": lambda a: a.astype(np.float64),
    }[kind]
    seen = []
    run = adopt_functions(
        lambda x: as_kind(maps(x)), lambda z: seen.append(z.shape[1:]) or as_kind(back(z)), colour, tmp_path / "run"
    )
    z = run.encode(colour.test)
    assert z.shape == (len(colour.test), 60)
    x = colour.test.pixels / 255
    assert np.allclose(z, maps(x).reshape(len(x), -1), atol=1e-2 if kind == "bfloat16" else 1e-6)
    assert np.allclose(run.decode(z), back(maps(x)), atol=1e-2 if kind == "bfloat16" else 1e-6)
    assert set(seen) == {(3, 4, 5)}
    assert run.record["adopted"]["latent_shape"] == [3, 4, 5]


def test_a_function_gets_at_most_one_batch_and_only_a_copy(colour, tmp_path):
    sizes = []

    def encode(x):
        sizes.append(len(x))
        z = maps(x)
        x[:] = 7
        return z

    run = adopt_functions(encode, back, colour, tmp_path / "run", batch_size=16)
    run.encode(colour.train)
    assert max(sizes) == 16
    assert len(run.encode(colour.train)) == 36
    assert np.allclose(run.encode(colour.test), run.encode(colour.test))


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        (lambda x: maps(x)[:1], back, "encode gave the shape 1 x 3 x 4 x 5 for 4 x 3 x 8 x 10; one latent an image"),
        (lambda x: x.mean((1, 2, 3)), back, "encode gave the shape 4 for"),
        (lambda x: None, back, "encode gave"),
        (lambda x: "z", back, "encode gave str, which is no array of numbers"),
        (lambda x: maps(x) * np.nan, back, "encode gave NaN or infinity"),
        (maps, lambda z: z, "decode gave the shape 1 x 3 x 4 x 5 for 1 x 3 x 4 x 5; 1 x 3 x 8 x 10 is needed"),
        (maps, lambda z: back(z).transpose(0, 2, 3, 1), "are the channels last?"),
        (maps, lambda z: np.full((len(z), 240), np.inf), "decode gave NaN or infinity"),
    ],
)
def test_wrong_functions_are_refused_before_a_folder_is_created(colour, tmp_path, encode, decode, message):
    with pytest.raises(UsageError) as error:
        adopt_functions(encode, decode, colour, tmp_path / "run")
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_flat_images_are_accepted(colour, tmp_path):
    run = adopt_functions(maps, lambda z: back(z).reshape(len(z), -1), colour, tmp_path / "run")
    assert run.reconstruct(colour.test).shape == colour.test.pixels.shape


def test_random_latents_cause_a_warning(colour, tmp_path):
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="other latents each time"):
        run = adopt_functions(lambda x: maps(x) + rng.normal(size=(len(x), 3, 4, 5)), back, colour, tmp_path / "run")
    assert "each time" in run.record["adopted"]["varies"]


def test_a_network_in_training_mode_causes_a_warning(colour, tmp_path):
    with pytest.warns(UserWarning, match="in other company"):
        adopt_functions(lambda x: maps(x) - maps(x).mean(0), back, colour, tmp_path / "run")


def test_batches_and_folders_that_are_not_allowed(colour, tmp_path):
    with pytest.raises(UsageError, match="batch_size is 0"):
        adopt_functions(maps, back, colour, tmp_path / "run", batch_size=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(RunError, match="already exists"):
        adopt_functions(maps, back, colour, tmp_path / "full")


def test_an_adopted_model_fulfils_the_contract_of_models(colour):
    model = AdoptedModel((3, 8, 10), (3, 4, 5), maps, back)
    x = torch.from_numpy(X[:5]).float().div_(255)
    assert model.loss(x).total.shape == (5,)
    assert [shape for _, shape in network_stages(model)] == [(3, 8, 10), (3, 4, 5), (3, 8, 10)]
    assert sum(parameter.numel() for parameter in model.parameters()) == 0
    assert model.encode(x[:0]).shape == (0, 60)


class TorchModel(torch.nn.Module):
    """What a user of torch has: methods that tensors alone can go through."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.down = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 4)).to(dtype)
        self.up = torch.nn.Linear(4, 144).to(dtype)

    def encode(self, x):
        return self.down(x.flatten(1).unsqueeze(1))

    def decode(self, z):
        return self.up(z).view(-1, 1, 12, 12)


@pytest.mark.parametrize(
    "functions",
    [
        lambda model: (model.encode, model.decode),
        lambda model: (model.down, model.up),
        lambda model: (lambda x: model.encode(x), lambda z: model.decode(z)),
        lambda model: (
            lambda x: model.encode(torch.from_numpy(x)).detach().numpy(),
            lambda z: model.up(torch.tensor(z)),
        ),
    ],
)
def test_methods_of_torch_are_adopted_as_they_are(functions, images):
    model = TorchModel().eval()
    encode, decode = functions(model)
    adopted = AdoptedModel((1, 12, 12), latent_shape_of(encode, images.test.pixels), encode, decode)
    x = torch.from_numpy(images.test.pixels.copy()).float() / 255
    with torch.no_grad():
        torch.testing.assert_close(adopted.encode(x), model.encode(x))
        torch.testing.assert_close(adopted(x).flatten(1), model.decode(model.encode(x)).flatten(1))


def test_a_module_of_float64_is_given_its_own_type(images):
    model = TorchModel(torch.float64)
    adopted = AdoptedModel((1, 12, 12), (4,), model.encode, model.decode)
    assert encode_images(adopted, images.test).dtype == np.float32


def test_a_function_that_takes_neither_arrays_nor_tensors_is_said(images):
    with pytest.raises(
        UsageError, match=r"encode takes neither an array \(AttributeError: .*\) nor a tensor .*unheard"
    ):
        latent_shape_of(lambda x: x.unheard(), images.test.pixels)
