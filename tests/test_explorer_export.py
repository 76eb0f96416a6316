"""The explorer as one file: its JavaScript computes what Python does, and the file makes no requests."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

import latens
from browser import PAGE, map_the_test_part, missing
from latens.errors import RunError
from latens.explorer import View, decoding, one_file, packing, write_html
from latens.explorer.bundling import bundle
from latens.explorer.packing import Pack, networks_of
from latens.models import MODELS
from latens.models.contract import Model
from latens.neighbours import distance_ratios
from latens.networks import NETWORKS, Network
from latens.networks.linear_path import FromLinear
from latens.runs import open_run
from latens.runs.run import TRAIN
from records import read_record, write_record

CLOSE = 1e-3
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 17, 23)]
DIM = 6
# Every model with every network, and the options that change what is computed.
CASES = [(model, network, shape, {}) for model in MODELS for network in NETWORKS for shape in SHAPES] + [
    ("autoencoder", "convolutional", SHAPES[0], {"activation": "none"}),
    ("variational", "convolutional", SHAPES[2], {"likelihood": "bernoulli"}),
    ("quantised", "convolutional", SHAPES[0], {"spatial": True}),
    ("on a map", "", SHAPES[0], {}),
]
NASTY = "</script><img src=x onerror=alert(1)><!--"
RUN_LAYERS = """
import {readFileSync, writeFileSync} from "node:fs";
import {runLayers} from "./layers.js";
import {layersOf, unpacked} from "./offline.js";
const {cases, arrays} = JSON.parse(readFileSync("cases.json"));
const bytes = readFileSync("cases.bin");
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const array = (name) => unpacked(arrays[name], buffer, name);
const rows = (values, num) =>
  Array.from({length: num}, (_, i) => values.slice((i * values.length) / num, ((i + 1) * values.length) / num));
writeFileSync("answers.json", JSON.stringify(cases.map(({encoder, decoder, latents, pixels, num, shape}) => {
  const [down, up] = [layersOf(encoder, array), layersOf(decoder, array)];
  return {
    pictures: rows(array(latents), num).map((z) => Array.from(runLayers(up, z, [z.length]))),
    latents: rows(array(pixels), num).map((x) => Array.from(runLayers(down, x, shape))),
  };
})));
"""
ASK = """
import {readFileSync, writeFileSync} from "node:fs";
import {offlineSource} from "./offline.js";
const {texts, asked} = JSON.parse(readFileSync("asked.json"));
const source = offlineSource(texts);
const answers = [];
for (const [method, ...given] of asked) {
  if (method === "decode" || method === "nearest") given[0] = Float32Array.from(given[0]);
  if (method === "encode") given[0].values = Uint8Array.from(given[0].values);
  answers.push((await source[method](...given).catch((error) => ({failed: error.message}))) ?? null);
}
const plain = (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
writeFileSync("answers.json", JSON.stringify(answers, plain));
"""


def in_node(folder, script):
    """What a script says that may import the page's modules, in a folder."""
    node = shutil.which("node")
    if node is None:
        missing("there is no node")
    for name in ("fit.js", "layers.js", "looks.js", "near.js", "newest.js", "offline.js", "principal.js", "ways.js"):
        shutil.copy(PAGE / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "script.js").write_text(script)
    done = subprocess.run([node, "script.js"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[:2000]
    return json.loads((folder / "answers.json").read_text())


class OnAMap(Model):
    """A latent (2, 7, 7), and sequences within sequences."""

    def __init__(self, shape):
        down = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.SiLU(), nn.Dropout())
        encoder = nn.Sequential(down, nn.Conv2d(4, 2, 3, 2, 1), nn.Identity())
        decoder = nn.Sequential(nn.ConvTranspose2d(2, 4, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(4, 1, 3, 2, 1, 1))
        super().__init__(
            shape, Network(encoder, decoder, (2, 7, 7)), after_encoder=[nn.ReLU()], after_decoder=[nn.Sigmoid()]
        )

    def loss(self, x, generator=None):
        raise NotImplementedError


def model_of(name, network, shape, options):
    """A model with random weights, large enough that latents depend on pictures and pictures on latents."""
    dim = 98 if options.get("spatial") else DIM
    model = OnAMap(shape) if name == "on a map" else MODELS[name](shape, dim, network, **options)
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)
            else:
                parameter.add_(0.1 * torch.randn(parameter.shape))
        if isinstance(model.decoder, FromLinear):
            model.decoder.further.centres[:50].normal_()
            model.decoder.further.amounts[:, :50].normal_()
            model.decoder.further.directions.normal_(std=0.1)
            model.decoder.further.scale.fill_(2.0)
    return model


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Of each case what torch says, and what node says, by its place in CASES."""
    folder, pack, asked, expected = tmp_path_factory.mktemp("networks"), Pack(), [], []
    torch.manual_seed(0)
    for i, (name, network, shape, options) in enumerate(CASES):
        model, own = model_of(name, network, shape, options), Pack()
        x = torch.rand(2, *shape) * torch.tensor([1.0, 0.1]).view(2, 1, 1, 1)
        with torch.no_grad():
            z = 2 * torch.randn(2, model.latent_dim)
            expected.append((model.decode(z).flatten(1).numpy(), model.encode(x).numpy()))
        try:
            halves = networks_of(model, own, z.numpy())
        except RunError:  # a model of other layers, which the file refuses
            asked.append(None)
            continue
        for array, layout in own.layout.items():
            pack.layout[f"{i} {array}"] = {**layout, "offset": layout["offset"] + len(pack.body)}
        pack.body += own.body
        for half in halves.values():
            for layer in (one for outer in half for one in (outer, *outer.get("layers", ()))):
                tensors = [
                    key for key in layer if key.endswith(("weight", "bias", "spread")) or key.startswith("further_")
                ]
                layer |= {key: f"{i} {layer[key]}" for key in tensors}
        inputs = {"latents": pack.add(f"{i} z", z.numpy()), "pixels": pack.add(f"{i} x", x.numpy())}
        asked.append({**halves, **inputs, "num": 2, "shape": shape})
    (folder / "cases.bin").write_bytes(pack.body)
    (folder / "cases.json").write_text(json.dumps({"cases": [one for one in asked if one], "arrays": pack.layout}))
    answers = iter(in_node(folder, RUN_LAYERS))
    return [(torchs, None if one is None else next(answers)) for torchs, one in zip(expected, asked, strict=True)]


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: "-".join(map(str, CASES[i])))
def test_networks_compute_what_torch_does(computed, case):
    (pictures, latents), answer = computed[case]
    if answer is None:
        assert CASES[case][0] not in ("autoencoder", "variational", "wasserstein", "regularised", "quantised")
        pytest.skip("its layers are none that the page knows")
    assert np.abs(pictures[0] - pictures[1]).max() > 50 * CLOSE
    assert np.abs(latents[0] - latents[1]).max() > 50 * CLOSE
    np.testing.assert_allclose(answer["pictures"], pictures, atol=CLOSE)
    np.testing.assert_allclose(answer["latents"], latents, atol=CLOSE)


@pytest.fixture(scope="module")
def run(finished_run, tmp_path_factory):
    """A copy, because what is fitted for a page is kept in the run's folder."""
    return open_run(shutil.copytree(finished_run.path, tmp_path_factory.mktemp("export") / "run"))


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    return write_html(run, tmp_path_factory.mktemp("file") / "run.html").read_text()


def texts_of(file):
    found = {name: re.search(f'id="latens-{name}">([^<]*)</script>', file)[1] for name in ("data", "arrays")}
    return {"facts": found["data"], "arrays": found["arrays"]}


def ask(folder, file, asked):
    (folder / "asked.json").write_text(json.dumps({"texts": texts_of(file), "asked": asked}))
    return in_node(folder, ASK)


def places_on(view, name, num=12):
    made, rng = view.map(name).coordinates, np.random.default_rng(1)
    low, high = made.min(0), made.max(0)
    return rng.uniform(low, high, (num, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def answered(run, file, tmp_path_factory):
    """What the file answers, beside what the server's functions do: pairs by name."""
    view, maps = View(run), ("tsne", "pca")
    wanted = {}
    for name in maps:
        for i, (x, y) in enumerate(places_on(view, name).tolist()):
            wanted[f"place {i} of {name}"] = (
                ["decodeAt", name, x, y],
                lambda n=name, x=x, y=y: decoding.decode_at(view, n, x, y),
            )
        site = view.map(name).coordinates[3].tolist()
        wanted[f"a site of {name}"] = (
            ["decodeAt", name, *site],
            lambda n=name, s=site: decoding.decode_at(view, n, *s),
        )
        z = (view.latents[:5] + np.random.default_rng(0).normal(0, 0.3, (5, view.latents.shape[1]))).astype(np.float32)
        wanted[f"latents on {name}"] = (
            ["decode", z.ravel().tolist(), name, z.shape[1]],
            lambda n=name, z=z: decoding.decode(view, z, n),
        )
    for way in ("linear", "spherical", "graph"):
        for start, end in (([0], [7]), ([3], [100, 101, 5]), ([1, 2, 4], [9, 12])):
            asked = {"stops": [start, end], "way": way, "steps": 9, "map": "tsne"}
            wanted[f"{way} {start} {end}"] = (
                ["path", asked],
                lambda s=start, e=end, w=way: decoding.path(view, [s, e], w, 9, "tsne"),
            )
    stops = [[0], {"map": "tsne", "x": 1.5, "y": -2.0}, [3, 4], {"map": "pca", "x": 0.1, "y": 0.2}]
    for way in ("linear", "graph"):
        wanted[f"{way} through way points"] = (
            ["path", {"stops": stops, "way": way, "steps": 13, "map": "pca"}],
            lambda w=way: decoding.path(view, stops, w, 13, "pca"),
        )
    for name in ("pca", "tsne"):
        wanted[f"compass on {name}"] = (
            ["compass", name, 0.5, -0.5],
            lambda n=name: decoding.compass(view, n, 0.5, -0.5),
        )
    for row in (0, 17, 239):
        wanted[f"image {row}"] = (["image", row], lambda r=row: view.image(r))
        wanted[f"directions {row}"] = (["directions", row], lambda r=row: decoding.directions(view, r))
    wanted["directions"] = (["directions", None], lambda: decoding.directions(view))
    given = ask(tmp_path_factory.mktemp("answers"), file, [asked for asked, _ in wanted.values()])
    return [(name, answer, expected()) for (name, (_, expected)), answer in zip(wanted.items(), given, strict=True)]


def test_answers_are_those_of_the_server(answered):
    for name, answer, expected in answered:
        assert "failed" not in answer, (name, answer)
        for key, array in expected.arrays.items():
            got = np.array([np.nan if one is None else one for one in answer[key]])
            if array.dtype == np.uint8:  # half a step more or less decides
                assert np.abs(got - array.ravel()).max() <= 1, (name, key)
            elif array.dtype.kind in "iu":
                np.testing.assert_array_equal(got, array.ravel(), err_msg=f"{name}: {key}")
            else:
                # Places, and how far they are apart, are as exact as the largest of them.
                scale = max(1.0, float(np.abs(array).max(initial=0))) if key in ("places", "moved") else 1.0
                atol = CLOSE * scale
                np.testing.assert_allclose(got, array.ravel(), atol=atol, err_msg=f"{name}: {key}")
        for key in {"note", "label", "error", "id"} & set(expected.facts):
            assert answer[key] == pytest.approx(expected.facts[key]), (name, key)
        for key in {"stops", "steps", "shares", "arrows", "around"} & set(expected.facts):
            np.testing.assert_allclose(answer[key], expected.facts[key], atol=0.02, err_msg=f"{name}: {key}")


def test_ratios_are_usual_distances(run, file, tmp_path):
    latents = run.of_part("latents", None)
    z = (latents[:4] * 1.5 + 0.2).astype(np.float32)
    (answer,) = ask(tmp_path, file, [["decode", z.ravel().tolist(), "", z.shape[1]]])
    np.testing.assert_allclose(answer["ratio"], distance_ratios(latents, z), atol=CLOSE)


def test_maps_columns_and_what_is_not_there(run, file, tmp_path):
    view = View(run)
    names = [column["name"] for column in view.info()["columns"]]
    asked = [
        ["run"],
        ["map", "tsne"],
        *(["column", name] for name in names),
        ["map", "umap"],
        ["image", 240],
        ["column", "none"],
    ]
    info, map, *rest = ask(tmp_path, file, asked)
    facts, arrays = view.map_points("tsne")
    assert {key: map[key] for key in facts} == pytest.approx(facts)
    for axis in "xy":
        np.testing.assert_allclose(map[axis], arrays[axis], atol=1)
    for name, values in zip(names, rest, strict=False):
        np.testing.assert_array_equal(np.array(values, float), view.column(name))  # node writes NaN as null
    assert [one["failed"].split(";")[0] for one in rest[len(names) :]] == [
        "this file holds no map umap",
        "image 240 is no point of the map",
        "this file holds no column none",
    ]
    assert info["count"] == 240
    assert info["class_names"] == list(run.class_names)
    assert info["missing"] == ""
    assert set(info) >= set(view.info())


def test_probes_come_from_the_samplers(run, file, tmp_path):
    names = json.loads(texts_of(file)["facts"])["run"]["samplers"]
    asked = [
        ["probe", {"sampler": name, "noise": noise, "seed": seed, "map": "tsne"}]
        for name in names
        for noise, seed in ((0, 0), (1, 0), (1, 2))
    ]
    answers = ask(tmp_path, file, asked)
    assert {"class-means", "gaussian"} <= set(names)
    means = run.sampler("class-means").means
    still, first, second = answers[:3]
    np.testing.assert_allclose(np.reshape(still["latents"], means.shape), means, atol=CLOSE)
    cloud = np.reshape(
        ask(tmp_path, file, [["probe", {"sampler": "class-means", "noise": 2, "seed": 5, "map": "pca"}]])[0]["cloud"],
        (-1, 2),
    )
    spread = View(run).map("pca").place(np.resize(means, (400, means.shape[1])))
    assert 1.8 < (cloud - spread).std() < 2.2  # a projection keeps normal noise of 2 what it is
    for i, name in enumerate(names):
        plain, again, other = answers[3 * i : 3 * i + 3]
        assert again["latents"] != other["latents"]
        assert len(plain["cloud"]) == 2 * 400
        assert plain["labels"] == run.sampler(name).classes.tolist()
        assert plain["scores"][0]["name"] == "distance from the data"
    assert first["latents"] != second["latents"]


def test_noise_of_a_probe_is_in_latent_units_or_spreads(run, file, tmp_path):
    asked = {"sampler": "class-means", "noise": 2, "seed": 0, "map": "pca"}
    plain, spread = ask(tmp_path, file, [["probe", {**asked, "unit": unit}] for unit in ("latent", "spread")])
    fitted = run.sampler("class-means")
    latents, labels = run.of_part("latents", 0), run.labels_of(0)
    own = np.array([np.sqrt(latents[labels == label].var(0).mean()) for label in fitted.classes])[:, None]
    moved = [np.reshape(one["latents"], fitted.means.shape) - fitted.means for one in (plain, spread)]
    np.testing.assert_allclose(moved[1] / own, moved[0], rtol=0.05, atol=0.02)  # means are stored as 16 bit


def test_only_the_newest_of_requests_sent_at_once_is_answered(tmp_path):
    script = """
    import {writeFileSync} from "node:fs";
    import {newestWins} from "./newest.js";
    const let_go = [];
    const send = (asked, signal) =>
      new Promise((resolve, reject) => let_go.push({resolve: () => resolve(asked), reject, signal}));
    const ask = newestWins(send, {queue: false});
    const answers = [0, 1, 2].map((asked) => ask(asked));
    const aborted = let_go.map(({signal}) => signal.aborted);
    let_go[2].resolve();
    let_go[0].resolve();
    let_go[1].reject(new Error("late"));
    const first = await Promise.all(answers);
    const dropped = ask(3);
    ask.drop();
    let_go[3].resolve();
    const failed = ask(4).catch((error) => error.message);
    let_go[4].reject(new Error("wrong"));
    aborted.push(let_go[3].signal.aborted, let_go[4].signal.aborted);
    const answer = {first, dropped: await dropped, failed: await failed, aborted};
    writeFileSync("answers.json", JSON.stringify(answer));
    """
    assert in_node(tmp_path, script) == {
        "first": [None, None, 2],
        "dropped": None,
        "failed": "wrong",
        "aborted": [True, True, False, True, False],
    }


def test_newer_requests_overtake(tmp_path):
    script = """
    import {writeFileSync} from "node:fs";
    import {newestWins} from "./newest.js";
    const sent = [];
    const ask = newestWins(async (asked) => {
      sent.push(asked);
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (asked === 4) throw new Error("wrong");
      return asked;
    });
    const first = await Promise.all([0, 1, 2, 3].map(ask));
    const second = [await ask(4).catch((error) => error.message), await ask(5)];
    writeFileSync("answers.json", JSON.stringify({first, second, sent}));
    """
    first, second = [0, None, None, 3], ["wrong", 5]
    assert in_node(tmp_path, script) == {"first": first, "second": second, "sent": [0, 3, 4, 5]}


class Elements(html.parser.HTMLParser):
    """The elements of a page, with the text of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.found and self.inside:
            self.found[-1][2] += data


def test_the_file_makes_no_requests(file):
    elements = Elements(file).found
    addresses = {
        value for _, given, _ in elements for name, value in given.items() if name in ("src", "href", "action")
    }
    assert addresses <= {"data:,", "#panel"}
    code = re.sub(r"https?://www\.w3\.org/\d+/\w+", "", file)  # names, not addresses
    assert "://" not in code
    (policy,) = [given["content"] for tag, given, _ in elements if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, given, text in elements:
        if tag == "style" or (tag == "script" and given.get("type") == "module"):
            assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert [given.get("type") for tag, given, _ in elements if tag == "script"] == [
        "application/json",
        "application/octet-stream",
        "module",
    ]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, about infinity less infinity
def test_a_model_that_decodes_to_no_finite_number_is_exported(run, tmp_path):
    """As the server's answers, the file has null in place of the distances that are infinite then."""
    shutil.copytree(run.path, tmp_path / "run")
    copy = open_run(tmp_path / "run")
    weights = dict(copy.folder.load("model.safetensors"))
    last = [name for name in weights if name.startswith("decoder") and name.endswith("bias")][-1]
    weights[last] = torch.full_like(weights[last], 3e38)
    copy.folder.commit({"model.safetensors": weights})
    write_html(open_run(copy.path), tmp_path / "file.html")
    data = re.search(r'id="latens-data">(.*?)</script>', (tmp_path / "file.html").read_text())[1]
    json.loads(data, parse_constant=lambda name: pytest.fail(name))


def test_data_never_become_html(run, file, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    record = read_record(folder)
    record["data"]["class_names"][0] = NASTY
    write_record(folder, record)
    text = write_html(open_run(folder), tmp_path / "run.html").read_text()
    assert "<img" not in text
    assert [tag for tag, *_ in Elements(text).found] == [tag for tag, *_ in Elements(file).found]
    assert json.loads(texts_of(text)["facts"])["run"]["class_names"][0] == NASTY


def test_the_script_holds_every_module(file, tmp_path):
    script = next(text for tag, given, text in Elements(file).found if given.get("type") == "module")
    assert script == bundle("start.js")
    for path in PAGE.glob("*.js"):
        if path.name != "types.js":
            assert f'modules["{path.name}"] = ' in script or f'modules[\\"{path.name}\\"] = ' in script
    (tmp_path / "answers.json").write_text("1")
    (tmp_path / "bundle.js").write_text(script)
    in_node(
        tmp_path,
        'import {execFileSync} from "node:child_process";\nexecFileSync(process.execPath, ["--check", "bundle.js"]);',
    )


def test_many_points_are_thinned_out(run, tmp_path, monkeypatch):
    monkeypatch.setattr(one_file, "MOST_POINTS", 50)
    text = write_html(run, tmp_path / "run.html").read_text()
    info, image, far = ask(
        tmp_path,
        text,
        [["run"], ["image", 49], ["path", {"stops": [[0], [40]], "way": "graph", "steps": 3, "map": "tsne"}]],
    )
    assert info["count"] == 50
    assert info["note"] == "50 of 240 images, evenly spaced; distances are among these"
    assert image["id"] == str(View(run).ids[239])
    assert far["ratio"][0] == 0


KEPT = 60  # train images in a file that has no room for more


@pytest.fixture(scope="module")
def with_train(run, tmp_path_factory):
    """A run whose map shows its test part, and a file with its test images and some of its train images."""
    folder = shutil.copytree(run.path, tmp_path_factory.mktemp("parts") / "run")
    with pytest.MonkeyPatch.context() as patch:
        run = map_the_test_part(folder, patch)
        view = View(run)
        for name in ("tsne", "pca"):
            view.map_points(name, "both")
        patch.setattr(one_file, "MOST_IMAGES", view.count + KEPT)
        said = []
        text = write_html(run, folder.parent / "run.html", say=said.append).read_text()
    return view, text, said


def kept_rows(view, text):
    """Of the images of a file their rows as the server has them, those of the train part first."""
    return np.array([view.row_of_id[one] for one in json.loads(texts_of(text)["facts"])["ids"]]) - view.first


def test_train_images_fill_the_room_evenly_over_the_classes(with_train, tmp_path):
    view, text, said = with_train
    rows = kept_rows(view, text)
    assert (rows < 0).sum() == KEPT
    np.testing.assert_array_equal(rows, [*sorted(rows[:KEPT]), *range(view.count)])
    labels = view.run.labels_of(TRAIN)
    taken, there = (np.bincount(some, minlength=len(view.run.class_names)) for some in (labels[rows[:KEPT]], labels))
    assert all(taken.max() - 1 <= some or some == every for some, every in zip(taken, there, strict=True))
    assert said == [f"{KEPT} of {view.num_train} train images, evenly over the classes"]
    (info,) = ask(tmp_path, text, [["run"]])
    assert (info["count"], info["train"], info["train_of"]) == (view.count, KEPT, view.num_train)
    assert info["note"] == said[0]


def test_train_images_of_a_file_have_what_the_server_says_of_them(with_train, tmp_path):
    view, text, _ = with_train
    rows = kept_rows(view, text)
    train, order = rows[:KEPT], np.concatenate([rows[KEPT:], rows[:KEPT]])
    names = [column["name"] for column in json.loads(texts_of(text)["facts"])["run"]["columns"]]
    asked = [["map", name, part] for name in ("tsne", "pca") for part in ("test", "train", "both")]
    asked += [["column", name, part] for name in names for part in ("train", "both")]
    maps, columns = np.split(np.array(ask(tmp_path, text, asked), object), [6])
    for name, (own, placed, both) in zip(("tsne", "pca"), maps.reshape(2, 3), strict=True):
        wanted = np.concatenate([view.map(name).coordinates, view.placed(name)[train + view.first]])
        for axis, key in enumerate(("left", "bottom")):
            got = both[key] + np.array(both["xy"[axis]]) * both["size"] / 65_535
            np.testing.assert_allclose(got, wanted[:, axis], atol=both["size"] / 65_535)
            assert [*own["xy"[axis]], *placed["xy"[axis]]] == both["xy"[axis]]
    assert len(names) >= 6
    for name, (placed, both) in zip(names, columns.reshape(-1, 2), strict=True):
        np.testing.assert_array_equal(
            np.array(both, float), view.column(name, "both")[order]
        )  # node writes NaN as null
        np.testing.assert_array_equal(np.array(placed, float), view.column(name, "train")[train])


@pytest.mark.parametrize("part", ["test", "train", "both"])
def test_neighbours_in_a_file_are_of_the_images_that_are_on_its_map(with_train, tmp_path, part):
    view, text, _ = with_train
    rows = kept_rows(view, text)
    numbers = np.arange(len(rows)) - KEPT
    among = {"test": numbers[KEPT:], "train": numbers[:KEPT], "both": numbers}[part]
    latents = view.run.latents["latents"][rows + view.first].astype(np.float64)
    chosen = (5, -3)
    asked = [["among", part], *(["image", row] for row in chosen), ["nearest", latents[KEPT + 5].tolist(), 7]]
    _, *images, near = ask(tmp_path, text, asked)
    for row, image in zip(chosen, images, strict=True):
        assert image["id"] == str(view.run.latents["ids"][rows[row + KEPT] + view.first])
        assert image["label"] == view.run.latents["labels"][rows[row + KEPT] + view.first]
        assert image["error"] == pytest.approx(view.run.latents["squared_error"][rows[row + KEPT] + view.first])
        wanted = view.pixels(np.array([rows[row + KEPT] + view.first]))[0].ravel()
        np.testing.assert_array_equal(image["pixels"], wanted)
        squares = ((latents[among + KEPT] - latents[row + KEPT]) ** 2).sum(1)
        order = among[np.argsort(squares, kind="stable")]
        assert image["neighbours"] == order[order != row][:12].tolist()
    squares = ((latents[among + KEPT] - latents[KEPT + 5]) ** 2).sum(1)
    assert near["rows"] == among[np.argsort(squares, kind="stable")][:7].tolist()


def test_a_path_between_train_images_of_a_file(with_train, tmp_path):
    view, text, _ = with_train
    rows = kept_rows(view, text)
    for way in ("linear", "graph"):
        asked = {"stops": [[-1], [-20, 3]], "way": way, "steps": 7, "map": "tsne"}
        stops = [[int(rows[row + KEPT]) for row in stop] for stop in asked["stops"]]
        found = ask(tmp_path, text, [["path", asked], ["find", str(view.ids[3])], ["search", ""]])
        expected = decoding.path(view, stops, way, 7, "tsne").arrays["latents"]
        np.testing.assert_allclose(found[0]["latents"], expected.ravel(), atol=CLOSE)
        assert found[1] == 3
        assert found[2][0]["row"] == -KEPT


def test_large_pictures_are_made_small(run, tmp_path, monkeypatch):
    monkeypatch.setattr(one_file, "FINEST", 6)
    info, image = ask(tmp_path, write_html(run, tmp_path / "run.html").read_text(), [["run"], ["image", 0]])
    assert info["thumbnails"] == {"size": 6, "across": 256, "per_page": 65536, "pages": 1}
    assert image["pixels"] == []
    assert len(image["reconstruction"]) == 144


def test_a_run_without_its_images(run, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    record = read_record(folder)
    record["data"]["source"] = str(tmp_path / "gone.npz")
    write_record(folder, record)
    with pytest.warns(UserWarning, match="exported without images"):
        text = write_html(open_run(folder), tmp_path / "run.html").read_text()
    info, image = ask(tmp_path, text, [["run"], ["image", 0]])
    assert info["thumbnails"] is None
    assert info["missing"]
    assert str(tmp_path) not in text
    assert image["pixels"] == []
    assert len(image["reconstruction"]) == 144


def test_weights_that_need_it_keep_their_precision(monkeypatch):
    model, z, packs = MODELS["autoencoder"]((1, 12, 12), 4, "convolutional"), np.ones((2, 4), np.float32), []
    for allowed in (1.0, 0.0):
        monkeypatch.setattr(packing, "ALIKE", allowed)
        packs.append(Pack())
        networks_of(model, packs[-1], z)
    coarse, exact = (pack.layout["decoder 0 weight"] for pack in packs)
    assert (coarse["dtype"], exact["dtype"], "low" in exact) == ("uint16", "float32", False)
    stored = np.frombuffer(packs[1].body, np.float32, exact["count"], exact["offset"])
    np.testing.assert_array_equal(stored, model.decoder[0].weight.detach().numpy().ravel())


class Other(nn.ReLU):
    """A layer that no page knows."""


def test_what_the_page_cannot_compute_is_refused_by_name():
    z = np.zeros((1, 4), np.float32)
    model = MODELS["autoencoder"]((1, 12, 12), 4, "convolutional")
    model.decoder[1] = Other()
    with pytest.raises(RunError, match="can't compute the layer Other"):
        networks_of(model, Pack(), z)
    model.decoder[1] = nn.Conv2d(32, 32, 3, padding="same")
    with pytest.raises(RunError, match="padding=same"):
        networks_of(model, Pack(), z)
    kind = type("Mine", (MODELS["autoencoder"],), {"encode": lambda self, x: self.encoder(x).abs()})
    with pytest.raises(RunError, match="can't be put into one file: Mine has its own encode"):
        networks_of(kind((1, 12, 12), 4, "convolutional"), Pack(), z)
    hooked = MODELS["autoencoder"]((1, 12, 12), 4, "convolutional")
    hooked.encoder[0].register_forward_hook(lambda layer, given, y: 2 * y)
    with pytest.raises(RunError, match="can't compute the layer Conv2d"):
        networks_of(hooked, Pack(), z)


def test_an_adopted_run_is_refused(blobs, tmp_path):
    flat = latens.adopt(
        lambda x: x.reshape(len(x), -1)[:, :4], lambda z: np.repeat(z, 36, 1), blobs, out=tmp_path / "run"
    )
    with pytest.raises(RunError, match="adopted"):
        write_html(flat, tmp_path / "run.html")
    assert not (tmp_path / "run.html").exists()
