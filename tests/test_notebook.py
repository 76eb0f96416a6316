"""The reference experiment is reproduced exactly: network, training step, weights."""

import pytest
import torch

from latens.errors import RunError, UsageError
from latens.images import load_images
from latens.models.autoencoder import AutoencoderModel
from latens.runs import import_weights, open_run
from latens.training.loop import train
from latens.training.order import batches
from latens.training.recipes import RECIPES
from notebook_oracle import NotebookNet, train_steps


@pytest.fixture(scope="module")
def mnist():
    return load_images("mnist")


def notebook_weights(seed=0):
    torch.manual_seed(seed)
    return NotebookNet()


def test_parameters_are_the_notebooks():
    assert sum(p.numel() for p in AutoencoderModel((1, 28, 28), 64).parameters()) == 210_369


def test_the_same_seed_makes_the_same_first_weights():
    net = notebook_weights(5)
    torch.manual_seed(5)
    ours = AutoencoderModel((1, 28, 28), 64).state_dict()
    assert all(torch.equal(ours[name], value) for name, value in net.state_dict().items())


def test_output_is_equal_to_1e_6(mnist):
    net, model = notebook_weights(), AutoencoderModel((1, 28, 28), 64)
    model.load_state_dict(net.state_dict())
    model.to(memory_format=torch.channels_last)
    x = torch.from_numpy(mnist.test.pixels[:64].copy()).float() / 255
    with torch.no_grad():
        z = net.encoder(x)
        torch.testing.assert_close(model.encode(x), z.flatten(1), rtol=0, atol=1e-6)
        torch.testing.assert_close(model.decode(model.encode(x)), net.decoder(z), rtol=0, atol=1e-6)


def test_twenty_steps_of_the_notebook_recipe_give_the_same_losses(mnist):
    recipe = RECIPES["notebook"](mnist)
    config = recipe.config
    assert (config.epochs, config.batch_size, config.learning_rate, config.optimiser) == (300, 512, 2e-4, "adam")
    assert (config.decay, config.warmup, config.beta2, recipe.latent_dim) == (False, 0, 0.999, 64)
    net, model = notebook_weights(), AutoencoderModel((1, 28, 28), 64)
    model.load_state_dict(net.state_dict())
    order = list(batches(60_000, config.batch_size, config.seed, epoch=1))[:20]
    theirs = train_steps(net, [torch.from_numpy(mnist.train.pixels[i]).float().div(255) for i in order])

    ours = []

    class Enough(Exception):
        pass

    def on_batch(epoch, step, loss):
        ours.append(loss)
        if len(ours) == 20:
            raise Enough

    with pytest.raises(Enough):
        next(train(model, mnist, config, on_batch=on_batch))
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_import_makes_a_run_of_the_notebooks_weights(mnist, tmp_path):
    net = notebook_weights(3)
    torch.save(net.state_dict(), tmp_path / "state.pt")
    run = import_weights(tmp_path / "state.pt", mnist, tmp_path / "run")
    x = torch.from_numpy(mnist.test.pixels[:8].copy()).float() / 255
    with torch.no_grad():
        expected = net.decoder(net.encoder(x)).numpy()
    assert abs(open_run(tmp_path / "run").reconstruct(mnist.test.pixels[:8]) - expected).max() < 1e-6
    assert run.record["result"]["imported"] == "state.pt"


def test_import_refuses_a_whole_pickled_model(mnist, tmp_path):
    torch.save(notebook_weights(), tmp_path / "model.pt")
    with pytest.raises(UsageError, match=r"maybe a whole model; .* torch\.save\(model\.state_dict\(\)"):
        import_weights(tmp_path / "model.pt", mnist, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_import_refuses_what_is_no_state_dict(mnist, tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"decoder.0.weight": torch.zeros(64, 32, 7, 7)}, tmp_path / "part.pt")
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    for name, message in [
        ("text.pt", "not a weights file"),
        ("list.pt", "holds list; a state_dict"),
        ("part.pt", "not the reference experiment's network"),
        ("other.pt", r"no decoder\.0\.weight"),
    ]:
        with pytest.raises(UsageError, match=message):
            import_weights(tmp_path / name, mnist, tmp_path / "run")
    with pytest.raises(RunError, match="no such file"):
        import_weights(tmp_path / "none.pt", mnist, tmp_path / "run")
