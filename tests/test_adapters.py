"""Other tools' models, adopted: small ones with random weights, by the real packages; most are those of `make test-all`."""

import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn

import latens
from conftest import from_test_all, make_blobs
from latens.adapters import ADAPTERS, adapt
from latens.cli import main
from latens.errors import MissingExtra, RunDamaged, RunError, UsageError
from latens.experiment import store_adopted
from latens.images import load_images
from latens.progress import Silent
from latens.runs import adopt_functions
from latens.runs.keeping import keep_model

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pixels, labels = make_blobs(90, SHAPE)
    path = tmp_path_factory.mktemp("adapters") / "blobs.npz"
    np.savez(path, images=pixels, labels=labels)
    return path


@pytest.fixture(scope="module")
def images(file):
    return load_images(file)


@pytest.fixture(scope="module")
def x(images):
    return images.test.pixels[:4].astype(np.float32) / 255


def halves(seed=0):
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6))
    decoder = nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 3, 4, 4), nn.Sigmoid())
    return encoder.eval(), decoder.eval()


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = halves()

    def encode(self, x):
        return self.down(x)

    def decode(self, z):
        return self.up(z)


def as_tensor(function, array):
    with torch.no_grad():
        return function(torch.from_numpy(array)).numpy()


def same(adapted, x, encode, decode):
    """What an adapter's functions give is what the package's own calls give."""
    z = encode(x)
    call = [
        half if not isinstance(half, nn.Module) else (lambda a, half=half: as_tensor(half, a)) for half in adapted[:2]
    ]
    np.testing.assert_allclose(call[0](x), z, atol=1e-5)
    np.testing.assert_allclose(call[1](z), decode(z), atol=1e-5)


# ---- what needs no more than latens has


@pytest.mark.parametrize("given", ["pair", "whole"])
def test_modules_of_torch(given, x):
    down, up = halves()
    adapted = adapt((down, up) if given == "pair" else Whole())
    same(adapted, x, lambda a: as_tensor(down, a), lambda a: as_tensor(up, a))
    with pytest.raises(UsageError, match="has no methods encode and decode"):
        adapt(nn.Linear(2, 2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript(tmp_path, x):
    down, up = halves()
    for name, half in (("encoder", down), ("decoder", up)):
        torch.jit.script(half).save(str(tmp_path / f"{name}.pt"))
    same(adapt(str(tmp_path)), x, lambda a: as_tensor(down, a), lambda a: as_tensor(up, a))
    torch.save(down.state_dict(), tmp_path / "encoder.pt")
    with pytest.raises(UsageError, match="not TorchScript"):
        adapt(tmp_path)


def test_transformers_of_scikit_learn(images, x):
    rows = images.train.pixels.reshape(len(images.train), -1) / 255
    for model in (PCA(5), make_pipeline(MinMaxScaler(), PCA(5))):
        model.fit(rows)
        inverse = lambda z, model=model: model.inverse_transform(z)  # noqa: E731
        same(adapt(model), x, lambda a, model=model: model.transform(a.reshape(len(a), -1)), inverse)


def test_what_no_adapter_takes_is_said_with_what_they_take(tmp_path, file, capsys):
    for wrong in (3, str(tmp_path), tmp_path / "missing"):
        with pytest.raises(UsageError, match=r"a folder with encoder\.onnx"):
            adapt(wrong)
    assert main(["adopt", str(tmp_path), str(file), "--out", str(tmp_path / "run")]) == 2
    assert "not a model that is known" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_looking_at_a_model_imports_no_package():
    for name in ADAPTERS:
        assert not ADAPTERS[name].takes("nowhere")
    assert not {"diffusers", "keras", "pythae"} & set(sys.modules)


# ---- ONNX: runs that hold their model


def written(folder, encoder, decoder, **options):
    """A pair of ONNX files as people's own scripts write them."""
    folder.mkdir(exist_ok=True)
    for name, half, example in (("encoder", encoder, torch.zeros(2, *SHAPE)), ("decoder", decoder, torch.zeros(2, 6))):
        settings = {"dynamic_shapes": ({0: torch.export.Dim("n")},), "external_data": False, **options}
        torch.onnx.export(half, (example,), folder / f"{name}.onnx", dynamo=True, verbose=False, **settings)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    from_test_all("onnx"), from_test_all("onnxruntime"), from_test_all("onnxscript")
    return written(tmp_path_factory.mktemp("pair") / "ours", *halves())


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fixed", [False, True])
def test_onnx_files(pair, tmp_path, fixed, x):
    down, up = halves()
    folder = written(tmp_path / "fixed", down, up, dynamic_shapes=None) if fixed else pair
    some = np.concatenate([x, x[:3]])  # 7: no multiple of the 2 that the fixed one takes
    same(adapt(folder), some, lambda a: as_tensor(down, a), lambda a: as_tensor(up, a))


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_a_run_that_holds_its_model_is_whole(pair, file, images, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["adopt", str(pair), str(file), "--out", str(out), "--json"]) == 0
    run = latens.open_run(out)
    down, up = halves()
    x = images.test.pixels.astype(np.float32) / 255
    np.testing.assert_allclose(run.encode(images.test), as_tensor(down, x), atol=1e-5)
    np.testing.assert_allclose(run.reconstruct(images.test), as_tensor(up, as_tensor(down, x)), atol=1e-5)
    assert run.sample(3, "gaussian").images.shape == (3, *SHAPE)
    assert main(["score", str(out), "--samplers", "gaussian"]) == 0
    assert main(["explore", str(out), "--get", "/api/probe?map=pca&sampler=gaussian"]) == 0
    assert main(["export", str(out), "--onnx", str(tmp_path / "onnx")]) == 0
    same(adapt(tmp_path / "onnx"), x, lambda a: as_tensor(down, a), lambda a: as_tensor(up, a))
    assert main(["check", str(out)]) == 0
    content = bytearray((out / "adopted/decoder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (out / "adopted/decoder.onnx").write_bytes(content)
    with pytest.raises(RunDamaged):
        latens.open_run(out).model  # noqa: B018


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_a_module_that_was_trained_elsewhere_is_kept_whole(images, tmp_path):
    from_test_all("onnxscript")
    model = Whole()
    run = keep_model(model, images, [{"train_loss": 0.5}], tmp_path / "run")
    store_adopted(run, adapt(model), images, Silent())
    opened = latens.open_run(run.path)
    np.testing.assert_allclose(opened.encode(images.test), run.encode(images.test), atol=1e-5)
    assert opened.history[0]["train_loss"] == 0.5


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_hostile_onnx_files_are_refused(pair, tmp_path):
    import onnx

    def told(change):
        proto = onnx.load(pair / "encoder.onnx")
        change(proto)
        (tmp_path / "encoder.onnx").write_bytes(proto.SerializeToString())
        with pytest.raises(UsageError) as caught:
            adapt(tmp_path)
        return str(caught.value)

    def outside(proto):
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    (tmp_path / "decoder.onnx").write_bytes((pair / "decoder.onnx").read_bytes())
    assert "weights lie in other files" in told(outside)
    assert "has operations of evil" in told(lambda proto: proto.opset_import.add(domain="evil", version=1))
    (tmp_path / "encoder.onnx").write_bytes(b"no model")
    with pytest.raises(UsageError, match=r"not an ONNX model|can't load it|has 0 inputs"):
        adapt(tmp_path)


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_model_that_asks_for_much_more_memory_than_it_has_bytes(pair, tmp_path):
    """It is refused by the trial, and not left to the own process, which has no limit."""
    from onnx import TensorProto, helper

    from latens.adapters.trial import try_files

    sides = helper.make_node(
        "Constant", [], ["sides"], value=helper.make_tensor("s", TensorProto.INT64, [1], [1 << 32])
    )
    nodes = [
        sides,
        helper.make_node("ConstantOfShape", ["sides"], ["zeros"]),  # 16 GB
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, *SHAPE]) for name in "xy")
    graph = helper.make_graph(nodes, "graph", [x], [y])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    (tmp_path / "encoder.onnx").write_bytes(content)
    (tmp_path / "decoder.onnx").write_bytes((pair / "decoder.onnx").read_bytes())
    with pytest.raises(UsageError, match=r"in a process of its own it needed more than [\d,]+ MB of memory"):
        try_files(tmp_path, SHAPE)


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_onnx_models_that_are_made_to_harm_are_refused():
    onnx = from_test_all("onnx")
    from_test_all("onnxruntime")
    from onnx import TensorProto, helper

    from latens.models.onnx_pair import onnx_function

    def model(nodes, count, **more):
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [count, 4]) for name in "xy")
        domains = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
        graph = helper.make_graph(nodes, "graph", [x], [y])
        return helper.make_model(graph, opset_imports=domains, ir_version=9, **more).SerializeToString()

    negative = helper.make_node("Neg", ["x"], ["y"])
    assert onnx_function("good", model([negative], None))(np.ones((2, 4), np.float32)).tolist() == [[-1.0] * 4] * 2
    with pytest.raises(UsageError, match=r"^a: takes 1,099,511,627,776 images at a time; at most 4,096 are allowed$"):
        onnx_function("a", model([negative], 1 << 40))
    # Each calls the next twice: so few are 2^40 operations.
    functions = []
    for number in range(40):
        inner = [("F", f"F{number + 1}")] * 2 if number < 39 else [("", "Neg")] * 2
        nodes = [
            helper.make_node(name, [a], [b], domain="ai.onnx.ml" if kind else "")
            for (kind, name), a, b in zip(inner, "xz", "zy", strict=True)
        ]
        functions.append(
            helper.make_function("ai.onnx.ml", f"F{number}", ["x"], ["y"], nodes, [onnx.OperatorSetIdProto()])
        )
    call = helper.make_node("F0", ["x"], ["y"], domain="ai.onnx.ml")
    with pytest.raises(UsageError, match=r"^a: has functions of its own"):
        onnx_function("a", model([call], None, functions=functions))


# ---- diffusers, pythae, Keras


def stored_as_onnx(model, images, folder):
    adapted = adapt(model)
    run = adopt_functions(adapted.encode, adapted.decode, images, folder)
    store_adopted(run, adapted, images, Silent())
    opened = latens.open_run(folder)
    np.testing.assert_allclose(opened.encode(images.test), run.encode(images.test), atol=1e-4)
    np.testing.assert_allclose(opened.reconstruct(images.test), run.reconstruct(images.test), atol=1e-4)


SMALL = {"block_out_channels": (8, 8), "latent_channels": 2}
KL = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}
TINY = {
    **{"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8), "latent_channels": 2},
    **{"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)},
}


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "settings"), [("AutoencoderKL", {**SMALL, **KL}), ("AutoencoderTiny", TINY)])
def test_autoencoders_of_diffusers(kind, settings, images, x, tmp_path):
    diffusers = from_test_all("diffusers")
    torch.manual_seed(0)
    model = getattr(diffusers, kind)(**settings).eval()
    model.save_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        made = model.encode(2 * torch.from_numpy(x) - 1)
        z = made.latent_dist.mean if kind == "AutoencoderKL" else made.latents
        y = (model.decode(z).sample + 1) / 2
    for given in (model, str(tmp_path / "theirs")):
        same(adapt(given), x, lambda _: z.numpy(), lambda _: y.numpy())
    stored_as_onnx(model, images, tmp_path / "run")


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "patch"), [("dinov2", 14), ("mae", 16)])
def test_representation_autoencoders_of_diffusers(kind, patch, images, x, tmp_path, monkeypatch):
    """Their pixels are in [0, 1]; the encoder is one of transformers."""
    diffusers = from_test_all("diffusers")
    from_test_all("transformers")
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}
    model = diffusers.AutoencoderRAE(
        encoder_type=kind,
        encoder_hidden_size=64,
        encoder_patch_size=patch,
        encoder_num_hidden_layers=1,
        encoder_input_size=4 * patch,
        patch_size=4,
        **{f"decoder_{name}": value for name, value in small.items()},
    ).eval()
    model.save_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        z = model.encode(torch.from_numpy(x)).latent
        y = model.decode(z).sample
    for given in (model, str(tmp_path / "theirs")):
        same(adapt(given), x, lambda _: z.numpy(), lambda _: y.numpy())
    if kind == "dinov2":
        stored_as_onnx(model, images, tmp_path / "run")
    else:  # its encoder enlarges positions in a way that onnxruntime has not
        with pytest.raises(RunError, match="was adopted as two functions"):
            stored_as_onnx(model, images, tmp_path / "run")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match="a AutoencoderRAE needs transformers: pip install transformers"):
        adapt(str(tmp_path / "theirs"))


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_models_of_pythae(images, x, tmp_path):
    from_test_all("pythae")
    from pythae.models import VAE, VAEConfig

    torch.manual_seed(0)
    model = VAE(VAEConfig(input_dim=SHAPE, latent_dim=4)).eval()
    model.save(str(tmp_path / "theirs"))
    z = as_tensor(lambda a: model.encoder(a).embedding, x)
    y = as_tensor(lambda a: model.decoder(a).reconstruction, z)
    for given in (model, tmp_path / "theirs"):
        same(adapt(given), x, lambda _: z, lambda _: y)
    (tmp_path / "theirs/encoder.pkl").touch()
    with pytest.raises(UsageError, match="its networks are pickled"):
        adapt(tmp_path / "theirs")
    (tmp_path / "theirs/encoder.pkl").unlink()
    stored_as_onnx(tmp_path / "theirs", images, tmp_path / "run")


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_models_of_keras(x, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    keras = from_test_all("keras")
    layers = keras.layers
    encoder = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(2, 3, strides=4, padding="same")])
    decoder = keras.Sequential([keras.Input((4, 4, 2)), layers.Conv2DTranspose(3, 4, strides=4)])
    encoder.save(tmp_path / "encoder.keras"), decoder.save(tmp_path / "decoder.keras")

    def theirs(half, a):
        return half.predict(a.transpose(0, 2, 3, 1), verbose=0).transpose(0, 3, 1, 2)

    for given in ((encoder, decoder), str(tmp_path)):
        same(adapt(given), x, lambda a: theirs(encoder, a), lambda a: theirs(decoder, a))


def test_functions_without_onnx_are_given_again(images, tmp_path):
    rows = images.train.pixels.reshape(len(images.train), -1) / 255
    run = latens.adopt(PCA(4).fit(rows), images=images, out=tmp_path / "run", progress=Silent())
    assert run.recipe.network == "PCA"
    with pytest.raises(RunError, match="gives them back"):
        latens.open_run(run.path).model  # noqa: B018
