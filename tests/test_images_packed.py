"""Images in archives, in Parquet as Hugging Face writes it, by a pattern, and in data sets of torch and Hugging Face."""

import gc
import io
import json
import os
import shutil
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import latens
from conftest import from_test_all, make_blobs
from latens.errors import ImagesDamaged, ImagesError, ImagesNotFound, MissingExtra, UsageError
from latens.images import load_images
from latens.images.plan import Options
from latens.images.samplewise import SAMPLES

PIXELS, LABELS = make_blobs(45)
CLASSES = ["zebra", "ant", "bee"]


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture[0]).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "animals"
    for number, (picture, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        (root / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        (root / CLASSES[label] / f"{number:02}.png").write_bytes(png(picture))
    return root


def packed(folder, ending):
    kind = {".zip": "zip", ".tar": "tar", ".tar.gz": "gztar", ".tar.xz": "xztar"}[ending]
    return shutil.make_archive(str(folder), kind, folder.parent, folder.name)


def same(found, expected):
    assert found.fingerprint == expected.fingerprint
    assert found.train.ids.tolist() == expected.train.ids.tolist()
    assert found.class_names == expected.class_names


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_an_archive_is_what_its_folder_is(folder, ending):
    expected = load_images(folder)
    archive = packed(folder, ending)
    shutil.rmtree(folder)
    found = load_images(archive)
    assert found.fingerprint == expected.fingerprint
    assert found.class_names == expected.class_names == ("ant", "bee", "zebra")
    assert (found.name, found.source) == ("animals", str(archive))
    same(load_images(archive), found)  # from the cache


def test_a_changed_archive_is_read_again(folder):
    archive = packed(folder, ".zip")
    before = load_images(archive)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("animals/bee/new.png", png(255 - PIXELS[0]))
    after = load_images(archive)
    assert len(after.train) + len(after.test) == len(before.train) + len(before.test) + 1
    assert len(list((latens.files.cache_folder() / "unpacked").glob("*"))) >= 1


def test_a_run_of_an_archive_finds_its_images_again(folder, tmp_path):
    archive = packed(folder, ".zip")
    images = load_images(archive)
    recipe = latens.RECIPES["notebook"](images)
    from latens.runs import start_run

    run = start_run(images, recipe, tmp_path / "run", "cpu")
    assert latens.open_run(run.path).images.fingerprint == images.fingerprint


def test_encode_takes_an_archive(folder, finished_run, tmp_path):
    from latens.cli import main

    outputs = [tmp_path / "of_folder.npz", tmp_path / "of_archive.npz"]
    for source, output in zip((folder, packed(folder, ".zip")), outputs, strict=True):
        assert main(["encode", str(finished_run.path), str(source), "-o", str(output)]) == 0
    of_folder, of_archive = (np.load(output) for output in outputs)
    np.testing.assert_array_equal(of_archive["latents"], of_folder["latents"])
    assert of_archive["class_names"].tolist() == of_folder["class_names"].tolist()


def test_nothing_is_written_outside_and_links_are_left_out(folder, tmp_path):
    outside = tmp_path / "outside.png"
    archive = tmp_path / "bad.tar"
    with tarfile.open(archive, "w") as opened:
        opened.add(folder, "animals")
        for name in ("../outside.png", "/tmp/../outside.png", "a/../../outside.png", "C:\\outside.png"):
            info = tarfile.TarInfo(name)
            info.size = len(png(PIXELS[0]))
            opened.addfile(info, io.BytesIO(png(PIXELS[0])))
        link = tarfile.TarInfo("animals/bee/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        opened.addfile(link)
    found = load_images(archive)
    assert not outside.exists()
    assert not any("link" in one for one in (*found.train.ids, *found.test.ids))


def test_damaged_archives_are_said(folder, tmp_path, monkeypatch):
    archive = packed(folder, ".zip")
    content = Path(archive).read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(content[: len(content) // 2])
    text = tmp_path / "text.tar"
    text.write_text("no archive at all")
    tar = packed(folder, ".tar.gz")
    short = tmp_path / "short.tar.gz"
    short.write_bytes(Path(tar).read_bytes()[:3000])
    for path in (cut, text, short):
        with pytest.raises(ImagesDamaged, match=f"{path.name}: not readable as an archive"):
            load_images(path)
    monkeypatch.setattr("latens.images.plan.BOMB_BYTES", 100)
    monkeypatch.setattr("latens.images.plan.BOMB_RATIO", 0)
    for path in (archive, tar):
        os.utime(path, (1, 1))  # another state than that in the cache
        with pytest.raises(ImagesDamaged, match="unpacks to more than images of its size are"):
            load_images(path)
    with pytest.raises(UsageError, match="labels are taken from the source"):
        load_images(archive, labels=[1])


def hugging_face(path, rows, names=tuple(CLASSES), struct=True):
    """A file as `datasets.Dataset.to_parquet` writes it."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary()
    contents = [png(PIXELS[row]) for row in rows]
    images = [{"bytes": one, "path": None} for one in contents] if struct else contents
    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", kind), ("label", pa.int64()), ("age", pa.float64()), ("tags", pa.list_(pa.string()))],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    columns = [pa.array(images, kind), pa.array(LABELS[rows]), pa.array(rows / 2), pa.array([["x"]] * len(rows))]
    pq.write_table(pa.table(columns, schema=schema), path)
    return path


@pytest.mark.parametrize("struct", [True, False])
def test_parquet_of_hugging_face(tmp_path, struct):
    rows = np.arange(45)
    found = load_images(hugging_face(tmp_path / "animals.parquet", rows, struct=struct))
    assert found.class_names == ("ant", "bee", "zebra")
    assert found.name == "animals"
    for part in (found.train, found.test):
        numbers = np.array([int(one.removesuffix(".png")) for one in part.ids])
        np.testing.assert_array_equal(part.pixels, PIXELS[numbers])
        assert [found.class_names[label] for label in part.labels] == [CLASSES[LABELS[n]] for n in numbers]
        np.testing.assert_array_equal(part.columns["age"], numbers / 2)


def test_shards_of_parquet_are_parts(tmp_path):
    home = tmp_path / "data"
    home.mkdir()
    hugging_face(home / "train-00000-of-00002.parquet", np.arange(20))
    hugging_face(home / "train-00001-of-00002.parquet", np.arange(20, 36))
    hugging_face(home / "test-00000-of-00001.parquet", np.arange(36, 45))
    (home / "README.md").write_text("of the hub")
    found = load_images(home)
    assert (len(found.train), len(found.test)) == (36, 9)
    np.testing.assert_array_equal(found.test.pixels, PIXELS[36:])
    by_pattern = load_images(str(home / "train-*.parquet"))
    assert len(by_pattern.train) + len(by_pattern.test) == 36


def test_parquet_without_images_is_said(tmp_path, monkeypatch):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"file": ["a.png"], "label": [1]}), path)
    with pytest.raises(ImagesError, match="no column of images among file, label"):
        load_images(path)
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:50])
    with pytest.raises(ImagesDamaged, match="not readable as Parquet"):
        load_images(tmp_path / "cut.parquet")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(
        pa.table({"image": pa.array([{"bytes": None, "path": "gone.png"}], kind)}), tmp_path / "bare.parquet"
    )
    with pytest.raises(ImagesError, match="row 0 has no bytes of an image"):
        load_images(tmp_path / "bare.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r'pip install "latens\[parquet\]"'):
        load_images(path)


def test_a_pattern_of_files(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_images("animals/**/*.png")
    assert len(found.train) + len(found.test) == 45
    assert (found.name, found.class_names) == ("animals", ())
    assert "ant/01.png" in {*found.train.ids, *found.test.ids}
    assert found.source == str(tmp_path / "animals/**/*.png")
    ants = load_images(str(folder / "ant" / "*.png"))
    assert sorted([*ants.train.ids, *ants.test.ids]) == sorted(os.listdir(folder / "ant"))
    with pytest.raises(ImagesNotFound, match="no file matches this pattern"):
        load_images("animals/*.tiff")


class OfTorch(torch.utils.data.Dataset):
    classes = CLASSES

    def __len__(self):
        return 45

    def __getitem__(self, row):
        return torch.from_numpy(PIXELS[row] / np.float32(255)), int(LABELS[row])


class OfPillow(OfTorch):
    def __getitem__(self, row):
        return {"image": Image.fromarray(PIXELS[row][0]), "label": int(LABELS[row])}


@pytest.mark.parametrize(
    "make",
    [OfTorch, OfPillow, lambda: torch.utils.data.DataLoader(OfTorch(), batch_size=8)],
    ids=["Dataset", "dicts of Pillow", "DataLoader"],
)
def test_data_sets_of_torch(make):
    found = load_images(make())
    assert found.class_names == ("ant", "bee", "zebra")
    for part in (found.train, found.test):
        rows = part.ids.astype(int)
        white = 255 if part.pixels.dtype == np.uint8 else 1
        np.testing.assert_allclose(part.pixels / white, PIXELS[rows] / 255, atol=1e-6)
        assert [found.class_names[label] for label in part.labels] == [CLASSES[LABELS[row]] for row in rows]


class Stream(torch.utils.data.IterableDataset):
    """Gives the samples of `OfTorch` in order, and doesn't say how many."""

    def __init__(self, samples=None):
        self.samples = OfTorch() if samples is None else samples

    def __iter__(self):
        return (self.samples[row] for row in range(len(self.samples)))


MANY = {
    "Dataset": OfTorch,
    "Pillow": OfPillow,
    "DataLoader": lambda: torch.utils.data.DataLoader(OfTorch(), batch_size=8),
    "IterableDataset": Stream,
    "DataLoader of a stream": lambda: torch.utils.data.DataLoader(Stream(), batch_size=None),
    "generator": lambda: (OfTorch()[row] for row in range(45)),
    "dict of splits": lambda: {"train": torch.utils.data.Subset(OfTorch(), range(36)), "val": Stream(OfTorch())},
}


@pytest.fixture
def few_in_memory(monkeypatch):
    """At most four images in memory."""
    for name in ("IN_MEMORY", "BLOCK_BYTES"):
        monkeypatch.setattr(f"latens.images.samplewise.{name}", 4 * PIXELS[0].size)


@pytest.mark.parametrize("kind", MANY)
def test_many_samples_are_read_as_few_are(kind, monkeypatch, request):
    expected = load_images(MANY[kind]())
    request.getfixturevalue("few_in_memory")
    found = load_images(MANY[kind]())
    assert isinstance(found.train.pixels, np.memmap)
    assert not isinstance(expected.train.pixels, np.memmap)
    assert found.fingerprint == expected.fingerprint
    assert (found.source, found.class_names) == (expected.source, expected.class_names)
    for part, other in ((found.train, expected.train), (found.test, expected.test)):
        assert part.ids.tolist() == other.ids.tolist()
        assert (part.labels is None) == (other.labels is None)
        np.testing.assert_array_equal(part.labels, other.labels)


def left_in_cache():
    return list((latens.files.cache_folder() / "unpacked").glob(".*.tmp"))


def test_samples_on_disk_are_opened_again_and_leave_nothing_behind(few_in_memory):
    once, again = load_images(Stream()), load_images(Stream())
    assert once.train.pixels.filename == again.train.pixels.filename
    other = load_images(Stream(torch.utils.data.Subset(OfTorch(), range(44))))
    assert other.train.pixels.filename != once.train.pixels.filename
    np.testing.assert_array_equal(once.train.pixels, again.train.pixels)  # still there
    gc.collect()
    assert not left_in_cache()


def test_a_stream_that_fails_leaves_nothing_behind(few_in_memory, monkeypatch):
    def sizes():
        yield from (PIXELS[row][0] for row in range(8))
        yield from (PIXELS[row][0, 1:] for row in range(8, 20))

    with pytest.raises(
        ImagesError, match=r"the generator gives images of shape .* after \d+ of shape .*; bring all to one"
    ):
        load_images(sizes())
    monkeypatch.setattr("latens.images.samplewise.RESERVE", 1 << 60)
    with pytest.raises(ImagesError, match=r"samples of the Stream .*itertools.islice"):
        load_images(Stream())
    assert not left_in_cache()


def test_a_longer_stream_takes_no_more_memory(few_in_memory):
    rng = np.random.default_rng(0)

    def peak(count):
        tracemalloc.start()
        found = load_images(rng.integers(0, 256, (128, 128), np.uint8) for _ in range(count))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found.train) + len(found.test) == count
        return most

    peak(20)  # imports
    assert peak(4000) < 1.1 * peak(2000)


def test_samples_are_planned_in_their_order(few_in_memory):
    plan = SAMPLES.plan(Stream(), Options())
    blocks = list(plan.parts[0].of_rows(range(3, 40)))
    white = np.concatenate([block.pixels for block in blocks])
    np.testing.assert_allclose(white, PIXELS[3:40] / 255, atol=1e-6)


def test_classes_of_splits_are_those_of_both():
    samples = [(PIXELS[row], ["zebra", "ant", "bee"][row % 3]) for row in range(30)]
    found = load_images({"train": Samples(samples), "test": Samples([one for one in samples if one[1] == "zebra"])})
    assert found.class_names == ("ant", "bee", "zebra")
    assert set(found.test.labels) == {2}


class Samples(torch.utils.data.Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, row):
        return self.samples[row]


def test_splits_of_a_dict_are_parts():
    whole = OfTorch()
    parts = {"train": torch.utils.data.Subset(whole, range(36)), "test": torch.utils.data.Subset(whole, range(36, 45))}
    found = load_images(parts)
    assert (len(found.train), len(found.test)) == (36, 9)
    assert found.class_names == ("ant", "bee", "zebra")
    with pytest.raises(ImagesError, match="splits left, right"):
        load_images({"left": whole, "right": whole})


def test_data_sets_without_images_are_said():
    class Empty(OfTorch):
        def __len__(self):
            return 0

    with pytest.raises(ImagesError, match="Empty gives no samples"):
        load_images(Empty())

    class Words(OfTorch):
        def __getitem__(self, row):
            return {"text": "a"}

    with pytest.raises(ImagesError, match="samples with text; one of image"):
        load_images(Words())


def sample(row, key=None, **others):
    """The members of one sample of WebDataset."""
    key = f"{row:03}" if key is None else key
    told = {"cls": str(LABELS[row]).encode(), "json": json.dumps({"age": row / 2, "tags": ["x"]}).encode()}
    return {
        f"{key}.{ending}": content for ending, content in {"png": png(PIXELS[row]), **told, **others}.items() if content
    }


def tar(path, *samples):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in (item for members in samples for item in members.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def check_shards(found, names=("0", "1", "2")):
    """The 45 images, each with its key as id, its class and its age."""
    assert found.class_names == names
    assert len(found.train) + len(found.test) == 45
    for part in (found.train, found.test):
        rows = part.ids.astype(int)
        np.testing.assert_array_equal(part.pixels, PIXELS[rows])
        np.testing.assert_array_equal(part.labels, LABELS[rows])
        np.testing.assert_array_equal(part.columns["age"], rows / 2)


@pytest.fixture
def shards(tmp_path):
    for number in range(3):
        tar(tmp_path / "shards" / f"a-{number:06}.tar", *(sample(row) for row in range(number, 45, 3)))
    return tmp_path / "shards"


def test_shards_of_webdataset(shards, finished_run, tmp_path, capsys):
    (shards / "README.md").write_text("of the shards")
    found = load_images(shards)
    check_shards(found)
    assert (found.name, found.source) == ("shards", str(shards))
    for pattern in ("a-{000000..000002}.tar", "a-*.tar", "a-00000{0,1,2}.tar"):
        same(load_images(str(shards / pattern)), found)
    same(load_images(tar(tmp_path / "one.tar", *map(sample, range(45)))), found)
    from latens.cli import main

    assert main(["data", *(str(shards / f"a-00000{number}.tar") for number in range(3))]) == 2
    assert "one DATA is taken: a folder, or a pattern in quotes" in capsys.readouterr().err
    assert (
        main(["encode", str(finished_run.path), str(shards / "a-{000000..000002}.tar"), "-o", str(tmp_path / "z.npz")])
        == 0
    )
    assert sorted(np.load(tmp_path / "z.npz")["ids"]) == sorted(f"{row:03}" for row in range(45))


def test_a_run_of_shards_finds_them_again(shards, tmp_path):
    from latens.runs import start_run

    images = load_images(str(shards / "a-{000000..000002}.tar"))
    run = start_run(images, latens.RECIPES["notebook"](images), tmp_path / "run", "cpu")
    assert "images.npz" not in run.folder.files
    assert latens.open_run(run.path).images.fingerprint == images.fingerprint


def test_names_parts_and_folders_of_shards(tmp_path):
    home = tmp_path / "data"
    for part, rows in (("train-000000", range(20)), ("train-000001", range(20, 36)), ("test-000000", range(36, 45))):
        named = (sample(row, f"{part}/{row:03}", cls=f"{CLASSES[LABELS[row]]}\n".encode()) for row in rows)
        tar(home / f"{part}.tar", *named)
    found = load_images(home)
    assert (len(found.train), len(found.test)) == (36, 9)
    assert found.class_names == ("ant", "bee", "zebra")  # and not the folders
    np.testing.assert_array_equal(found.test.pixels, PIXELS[36:])
    assert found.test.ids[0] == "test-000000/036"


def test_samples_that_are_not_like_the_others(tmp_path):
    twice = {**sample(44, png=None), "044.left.png": png(PIXELS[44]), "044.right.png": png(255 - PIXELS[44])}
    alone = {"alone.cls": b"1", "alone.json": b"{}"}
    own = sample(
        43, json=json.dumps({"label": "mine", "text": "a\0b" + 2000 * "c", "split": "dev"}).encode(), txt=b"a caption"
    )
    found = load_images(tar(tmp_path / "one.tar", *map(sample, range(43)), twice, alone, own))
    rows = {name: (part, row) for part in (found.train, found.test) for row, name in enumerate(part.ids.tolist())}
    assert len(rows) == 46
    assert {"044.left.png", "044.right.png"} <= set(rows)
    assert any("alone.cls" in note for note in found.notes)
    part, row = rows["043"]
    assert (part.columns["json:label"][row], part.columns["txt"][row]) == ("mine", "a caption")
    assert len(part.columns["text"][row]) == 1000
    # Keys of an earlier shard get the name of their own shard before them.
    for number in range(2):
        tar(tmp_path / "again" / f"s{number}.tar", *(sample(row + 20 * number, f"{row:03}") for row in range(20)))
    again = load_images(tmp_path / "again")
    assert {"003", "s1-003"} <= {*again.train.ids, *again.test.ids}


def test_damaged_shards_are_said(shards, tmp_path, monkeypatch):
    cut = shards / "a-000001.tar"
    cut.write_bytes(cut.read_bytes()[:5000])
    with pytest.raises(ImagesDamaged, match=r"a-000001.tar: not readable as an archive"):
        load_images(shards)
    cut.unlink()
    with pytest.raises(ImagesNotFound, match=r"1 of its files are not there: .*a-000001.tar"):
        load_images(str(shards / "a-{000000..000002}.tar"))
    with pytest.raises(UsageError, match="stands for more than 100,000 names"):
        load_images(str(shards / "a-{000000..900000}.tar"))
    bad = {
        "holds 000.png twice": [sample(0), sample(1), sample(0)],
        "000.json can't be read": [sample(0, json=b"{"), sample(1)],
        "000.json can't be read .nested too deeply": [sample(0, json=100_000 * b"[")],
        "000.cls can't be read .*utf-8": [sample(0, cls=b"\xff\xfe")],
        "000.json can't be read .longer than 1 MiB": [sample(0, json=b" " * (1 << 21))],
        "1,201 different values .*at most 1,000": [
            sample(row, json=json.dumps({f"{row} {n}": n for n in range(600)}).encode()) for row in (0, 1)
        ],
        "not readable as an archive .*File exists": [{"a": png(PIXELS[0]), "a/000.png": png(PIXELS[1])}],
    }
    for number, (said, samples) in enumerate(bad.items()):
        with pytest.raises(ImagesDamaged, match=said):
            load_images(tar(tmp_path / f"bad{number}.tar", *samples))
    monkeypatch.setattr("latens.images.plan.BOMB_BYTES", 1000)
    monkeypatch.setattr("latens.images.plan.BOMB_RATIO", 0)
    with pytest.raises(ImagesDamaged, match="unpacks to more than images of its size are"):
        load_images(tar(tmp_path / "large.tar", sample(0, png=bytes(2000))))


def test_shards_write_nothing_outside(tmp_path):
    hostile = [sample(row, f"../../{row:03}") for row in range(20)] + [
        sample(row, f"/abs/{row:03}") for row in range(20, 45)
    ]
    home = tmp_path / "in" / "side"
    home.mkdir(parents=True)
    tar(home / "a-0.tar", *hostile)
    tar(home / "a-1.tar", sample(0, "a\x1b[2J"))
    before = {path for path in tmp_path.rglob("*") if latens.files.cache_folder() not in path.parents}
    found = load_images(home)
    after = {path for path in tmp_path.rglob("*") if latens.files.cache_folder() not in path.parents}
    assert before == after - {latens.files.cache_folder()}
    ids = [*found.train.ids, *found.test.ids]
    assert len(ids) == 46
    assert all(one.isprintable() for one in ids)


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves its last shard open
@pytest.mark.parametrize("compress", [False, True])
def test_shards_that_webdataset_wrote(tmp_path, compress):
    webdataset = from_test_all("webdataset")
    pattern = str(tmp_path / f"train-%06d.tar{'.gz' * compress}")
    with webdataset.ShardWriter(pattern, maxcount=20, verbose=0) as writer:
        for row in range(45):
            told = {"age": row / 2, "tags": ["x"]}
            image = Image.fromarray(PIXELS[row][0])
            writer.write({"__key__": f"{row:06}", "png": image, "cls": int(LABELS[row]), "json": told})
    shards = str(tmp_path / f"train-{{000000..000002}}.tar{'.gz' * compress}")
    check_shards(load_images(shards))
    pipeline = webdataset.WebDataset(shards, shardshuffle=False).decode("pill")
    found = load_images(pipeline)
    assert found.class_names == ("0", "1", "2")
    for part in (found.train, found.test):
        rows = part.ids.astype(int)
        np.testing.assert_array_equal(part.pixels, PIXELS[rows])
        np.testing.assert_array_equal(part.labels, LABELS[rows])


@pytest.fixture
def datasets():
    return from_test_all("datasets")


@pytest.fixture
def of_hugging_face(datasets):
    kinds = {
        "photo": datasets.Image(),
        "kind": datasets.ClassLabel(names=CLASSES),
        "age": datasets.Value("float32"),
        "tags": datasets.List(datasets.Value("string")),
    }
    rows = {"photo": [Image.fromarray(one[0]) for one in PIXELS], "kind": LABELS, "age": np.arange(45) / 2}
    return datasets.Dataset.from_dict({**rows, "tags": [["x"]] * 45}, features=datasets.Features(kinds))


@pytest.mark.pretrained
@pytest.mark.parametrize("as_stream", [False, True], ids=["Dataset", "IterableDataset"])
def test_a_dataset_of_hugging_face_is_what_its_parquet_is(of_hugging_face, tmp_path, as_stream):
    of_hugging_face.to_parquet(tmp_path / "animals.parquet")
    expected = load_images(tmp_path / "animals.parquet")
    found = load_images(of_hugging_face.to_iterable_dataset() if as_stream else of_hugging_face)
    same(found, expected)
    assert found.class_names == ("ant", "bee", "zebra")
    rows = np.array([int(one.removesuffix(".png")) for one in found.train.ids])
    np.testing.assert_array_equal(found.train.pixels, PIXELS[rows])
    np.testing.assert_array_equal(found.train.columns["age"], rows / 2)
    same(load_images(of_hugging_face.with_format("numpy")), found)  # how its rows are given does not count


@pytest.mark.pretrained
def test_splits_of_hugging_face_are_parts(of_hugging_face, datasets):
    split = of_hugging_face.train_test_split(9, seed=0)
    for parts in (
        split,
        datasets.IterableDatasetDict({name: one.to_iterable_dataset() for name, one in split.items()}),
    ):
        found = load_images(parts)
        assert (len(found.train), len(found.test)) == (36, 9)
        np.testing.assert_array_equal(found.test.columns["age"], split["test"].with_format("numpy")["age"])
    with pytest.raises(ImagesError, match="splits left, right; train, test and validation are known"):
        load_images(datasets.DatasetDict({"left": of_hugging_face, "right": of_hugging_face}))


@pytest.mark.pretrained
def test_files_and_sizes_of_hugging_face(folder, datasets, tmp_path):
    Image.fromarray(PIXELS[0][0]).resize((20, 16)).save(folder / "ant" / "large.png")
    found = load_images(
        datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    )
    assert found.class_names == ("ant", "bee", "zebra")
    assert len(found.train) + len(found.test) == 46
    assert any("1 of 46 images had other sizes" in note for note in found.notes)
    gone = datasets.Dataset.from_dict({"image": [str(folder / "gone.png")]}).cast_column("image", datasets.Image())
    with pytest.raises(ImagesError, match=r"row 0 of the Dataset: .*gone.png can't be read \(No such file"):
        load_images(gone)


@pytest.mark.pretrained
def test_a_run_keeps_images_of_hugging_face(of_hugging_face, tmp_path, monkeypatch):
    from latens.runs import start_run

    monkeypatch.setenv("LATENS_CACHE", str(tmp_path / "cache"))

    images = load_images(of_hugging_face.to_iterable_dataset())
    run = start_run(images, latens.RECIPES["notebook"](images), tmp_path / "run", "cpu")
    shutil.rmtree(latens.files.cache_folder())
    assert latens.open_run(run.path).images.fingerprint == images.fingerprint


@pytest.mark.pretrained
def test_what_hugging_face_does_not_say(of_hugging_face, datasets):
    with pytest.raises(ImagesError, match="IterableDataset does not say what its columns are"):
        load_images(of_hugging_face.to_iterable_dataset().map(lambda row: {"n": 1}))
    with pytest.raises(ImagesError, match="has no column of images among kind"):
        load_images(of_hugging_face.remove_columns("photo").to_iterable_dataset())
    empty = {"image": [None], "label": [0]}
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    with pytest.raises(ImagesError, match="row 0 of the Dataset: no image"):
        load_images(datasets.Dataset.from_dict(empty, features=kinds))
    turned = of_hugging_face.with_transform(lambda rows: {"image": [255 - np.asarray(one) for one in rows["photo"]]})
    found = load_images(turned)  # what a transform gives is what is read, sample by sample
    np.testing.assert_array_equal(found.train.pixels, 255 - PIXELS[found.train.ids.astype(int)])

    def broken():
        yield {"image": {"bytes": png(PIXELS[0]), "path": None}}
        raise ConnectionError("the line is dead")

    stream = datasets.IterableDataset.from_generator(broken, features=datasets.Features({"image": datasets.Image()}))
    with pytest.raises(ImagesError, match="IterableDataset can't be read on"):
        load_images(stream)
