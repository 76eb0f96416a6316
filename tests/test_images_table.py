"""Tables of images: how they are read, which row is which image, and what becomes of classes, parts and columns."""

import base64
import csv
import io
import json
import re
import sys
import zlib

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latens import load_images
from latens.cli import main
from latens.errors import ImagesNotFound, LabelsError, TableError, UsageError
from latens.images.load import load_again
from latens.images.pictures import read_pictures
from latens.images.table import joined_parts, tell
from latens.images.table_files import read_table
from pictures import fill, noise, save

NAMES = ("image", "diagnosis", "age", "sex")
ROWS = [(f"{k}.png", "benign" if k % 3 else "malignant", 20 + k / 2, "fm"[k % 2]) for k in range(30)]


def as_csv(rows, separator=",", **options):
    file = io.StringIO()
    csv.writer(file, delimiter=separator, **options).writerows([NAMES, *rows])
    return file.getvalue()


FORMS = {
    "comma.csv": as_csv(ROWS).encode(),
    "semicolon.csv": as_csv(ROWS, ";").encode(),
    "decimal-commas.csv": as_csv([(n, d, str(a).replace(".", ","), s) for n, d, a, s in ROWS], ";").encode(),
    "tabs.tsv": as_csv(ROWS, "\t").encode(),
    "bars.csv": as_csv(ROWS, "|").encode(),
    "spaces.txt": as_csv(ROWS, " ").encode(),
    "quotes.csv": as_csv(ROWS, quoting=csv.QUOTE_ALL).encode(),
    "mark.csv": as_csv(ROWS).encode("utf-8-sig"),
    "utf16.csv": as_csv(ROWS).encode("utf-16"),
    "excel.csv": b"sep=;\r\n" + as_csv(ROWS, ";").encode(),
    "lines.jsonl": "\n".join(json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS).encode(),
}


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path / "scans", 30)
    return tmp_path / "scans"


def check(dataset):
    assert dataset.class_names == ("benign", "malignant")
    for part in (dataset.train, dataset.test):
        for id, label, age, sex in zip(part.ids, part.labels, part.columns["age"], part.columns["sex"], strict=True):
            number = int(id.removesuffix(".png"))
            assert (dataset.class_names[label], age, sex) == ROWS[number][1:]
        assert set(part.columns) == {"age", "sex"}
    assert len(dataset.train) + len(dataset.test) == 30


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_of_files_say_the_same(folder, tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    check(load_images(folder, table=tmp_path / name))


def frames():
    columns = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    frame = pd.DataFrame(columns)
    return {
        "columns": columns,
        "arrays": {name: np.array(values) for name, values in columns.items()},
        "rows": [dict(zip(NAMES, row, strict=True)) for row in ROWS],
        "pandas": frame,
        "pandas, names as index": frame.set_index("image"),
        "polars": pl.DataFrame(columns),
    }


@pytest.mark.parametrize("kind", frames())
def test_all_kinds_of_objects_say_the_same(folder, kind):
    dataset = load_images(folder, table=frames()[kind])
    check(dataset)
    assert dataset.options["table"] == "given"


def test_parquet(folder, tmp_path):
    frames()["polars"].write_parquet(tmp_path / "a.parquet")
    check(load_images(folder, table=tmp_path / "a.parquet"))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(TableError, match=r"b\.parquet: not readable as Parquet"):
        load_images(folder, table=tmp_path / "b.parquet")


# A Parquet file with one changed byte, for which polars 2.1 asks for 2 EB of memory, and so ends its process.
ENDS_POLARS = zlib.decompress(
    base64.b85decode(
        "c-ozl&u`N(6vyo}DMjj`px8>JAVo-vI#G40*RBm>(!5_V=%A@4$|@n2lBBJawo|ip;|822{(}7(9AIb8oDkxKcHoTo1GpezyBYMrVZu`K-uwE!"
        "=a22AL7OEcqjwPbb)+HyK>q#0FSET3!6$`9c5#2$<xYt#mMcrun!|;RtgL*1Y1!CY*>fcXkcmhEA(TUDls1+?UJ+@UBFZnC=3W6Hu|S2gk|R5l"
        "Q|6<rUIFQxu3ZiLQSfZ&4FZ(KDn66&PiUP$EAx+b4A@6cW_igC2;M@@3ujol?_7~#!kT}2L8|^Gg^mX8OA#uO*9js)_XXmw&^k|9-=&!z`ZY;U"
        "7?~Bw2<SMOfHr%aL@@9PM90kI?s*FJxQitH&OLcN8XX{+EjuU89LgN18v=%@Q;<Z#s&427>t)LLucO326om1qf(WqA6yx%n#jn$>@S}om0{lkC"
        "s+GZ?Q!3w&mZi<+qt@;Cc`q1v+BdksN2N^J*x;|)gvG~h5)0`8r7>L-)}^-^Z2sto>syp|le{f%g}BOJ+dC|&w)>~)G;ej2CSy7;!p_~ze!Im>"
        "*JF-S=i-{k67{s{il!S~){0wqy4ZTsYC-V0eCj@r+k+@>KXwjxTcwE7<z=8fY>Xmr9Gm(57YDu3aNe8*<G4Q>nxt4N+Gf6U*pGa(8ag)V_={oa"
        "lWG{&h+is`YR$79k2sYuBw^JHe22{I1$MLia<8+GvBCb(-w?aRwg"
    )
)


def test_a_damaged_parquet_ends_no_process(folder, tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(ENDS_POLARS)
    with pytest.raises(TableError, match=r"a\.parquet: not readable as Parquet \(Invalid page header"):
        load_images(folder, table=tmp_path / "a.parquet")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)  # not installed: polars reads it, in a process of its own first
    with pytest.raises(
        TableError, match=r"a\.parquet: not readable as Parquet \(can't be read: in a process of its own it was ended"
    ):
        load_images(folder, table=tmp_path / "a.parquet")
    frames()["polars"].write_parquet(tmp_path / "b.parquet")
    check(load_images(folder, table=tmp_path / "b.parquet"))


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv", "Labels.CSV", "metadata.jsonl", "labels.tsv"])
def test_a_table_beside_the_images_is_found(folder, name, capsys):
    form = "lines.jsonl" if name.endswith("jsonl") else "tabs.tsv" if name.endswith("tsv") else "comma.csv"
    (folder / name).write_bytes(FORMS[form])
    dataset = load_images(folder)
    check(dataset)
    assert dataset.notes[0].startswith(
        f"{name}: rows of 30 of 30 images, by file names in image; labels from diagnosis"
    )
    assert not any("not images" in note for note in dataset.notes)
    check(load_images(folder))  # from the cache
    assert main(["data", str(folder)]) == 0
    told = capsys.readouterr().out
    assert f"{name}: rows of 30 of 30 images" in told
    assert re.search(r"age +20 to 34\.5 +0\n", told)
    assert re.search(r"sex +2 different: [fm], [fm] +0\n", told)
    for none in (False, "none"):
        without = load_images(folder, table=none)
        assert (without.class_names, without.train.columns, without.options["table"]) == ((), {}, False)
    assert load_again(str(folder), {"options": {"size": None}}).class_names == (), "a run of before knew no tables"


def test_a_found_table_that_cannot_be_used_is_a_note(folder):
    (folder / "labels.csv").write_bytes(b"\xff\xfe\0")
    assert any("labels.csv: not a table of text" in note for note in load_images(folder).notes)
    (folder / "labels.csv").write_text("")
    assert any("labels.csv: has no rows" in note for note in load_images(folder).notes)
    (folder / "labels.csv").write_text("who,what\nEve,1\nAdam,2\n")
    notes = load_images(folder).notes
    assert any("labels.csv: no column names the images" in note and "tried who ('Eve', …)" in note for note in notes)
    with pytest.raises(TableError, match="no column names the images"):
        load_images(folder, table=folder / "labels.csv")


def test_a_changed_table_is_read_again(folder):
    (folder / "labels.csv").write_text(as_csv(ROWS))
    first = load_images(folder)
    (folder / "labels.csv").write_text(as_csv([(n, d, a + 1, s) for n, d, a, s in ROWS]))
    assert load_images(folder).train.columns["age"].min() == first.train.columns["age"].min() + 1


@pytest.mark.parametrize(
    ("ids", "names", "words"),
    [
        (["a.png", "b.png"], ["a.png", "b.png"], "by file names"),
        (["x/a.png", "y/a.png"], ["x/a.png", "y/a.png"], "by file names"),
        (["train/x/a.png", "train/y/a.png"], ["x/a.png", "y/a.png"], "by file names"),
        (["a.png", "b.png"], ["/home/u/set/a.png", "/home/u/set/b.png"], "by file names"),
        (["x/a.png", "x/b.png"], ["x\\a.png", ".\\x\\b.png"], "by file names"),
        (["a.png", "b.png"], ["a", "b"], "by file names without ending"),
        (["a.png", "b.png"], ["a.dcm", "b.dcm"], "by file names without ending"),
        (["A.PNG", "B.PNG"], ["a.png", "b.png"], "by file names in any case"),
        (["images/a.png", "images/b.png"], ["other/a.png", "other/b.png"], "by last parts of file names"),
        (["0001.png", "0002.png"], ["1", "2"], "by numbers of files"),
        (["café.png", "b.png"], ["cafe\u0301.png", "b.png"], "by file names"),
        (["scan.2024.01.png", "scan.2024.02.png"], ["scan.2024.01", "scan.2024.02"], "by file names"),
    ],
)
def test_how_names_are_matched(ids, names, words):
    told = tell(read_table({"kind": ["one", "two"], "which": names}), ids)
    assert told.rows.tolist() == [0, 1]
    assert told.labels == ["one", "two"]
    assert words in told.notes[0]


def test_a_column_that_happens_to_hold_a_few_names_is_not_taken(tmp_path):
    fill(tmp_path, 20)
    rows = [{"age": k % 7, "file": f"{k}.png", "score": k} for k in range(20)]
    told = tell(read_table(rows), [f"{k}.png" for k in range(20)])
    assert "in file" in told.notes[0]
    assert told.columns["age"].tolist() == [k % 7 for k in range(20)]


def test_a_name_that_several_images_have_is_not_used():
    told = tell(
        read_table({"file": ["a.png", "b.png", "c.png"], "label": list("xyx")}),
        ["1/a.png", "2/a.png", "b.png", "c.png"],
    )
    assert told.rows.tolist() == [-1, -1, 1, 2]
    assert any("1 row whose name several images have, not used: a.png" in note for note in told.notes)


def test_what_does_not_fit_is_said_in_one_line_each(folder, tmp_path):
    rows = [*ROWS[:28], ("ghost.png", "benign", 1, "f"), ("other.png", "benign", 1, "f"), ("3.png", "benign", 9, "m")]
    (tmp_path / "t.csv").write_text(as_csv([*rows, ROWS[4]]))
    dataset = load_images(folder, table=tmp_path / "t.csv")
    assert len(dataset.train) + len(dataset.test) == 28
    told = "\n".join(dataset.notes)
    assert "t.csv: 2 rows of images that are not there: ghost.png, other.png" in told
    assert (
        "t.csv: 2 images named more than once, 1 of them with values that differ; the first row counts: 3.png, 4.png"
        in told
    )
    assert "t.csv: 2 images without a label, left out: 28.png, 29.png" in told
    with pytest.raises(TableError, match=r"ghost\.png.*mend the table, or leave out strict"):
        load_images(folder, table=tmp_path / "t.csv", strict=True)


def test_columns_without_labels_leave_nothing_out(folder, tmp_path):
    (tmp_path / "t.csv").write_text("file,age,site\n" + "".join(f"{k}.png,{k},s{k % 2}\n" for k in range(20)))
    dataset = load_images(folder, table=tmp_path / "t.csv")
    assert len(dataset.train) + len(dataset.test) == 30
    ages = np.concatenate([dataset.train.columns["age"], dataset.test.columns["age"]])
    assert np.isnan(ages).sum() == 10
    assert (np.concatenate([dataset.train.columns["site"], dataset.test.columns["site"]]) == "").sum() == 10
    assert any("10 images without a row: 20.png" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("words", "train", "test"),
    [
        (("train", "test"), 15, 15),
        (("Training", "Validation"), 15, 15),
        (("train", "val", "test"), 20, 10),  # the validation part is trained on
        (("train", "holdout", "test"), 10, 10),  # a holdout part beside a test part is neither
        (("0", "1", "2"), 20, 10),  # 0 train, 1 validation, 2 test, as CelebA has them
    ],
)
def test_parts_from_a_column(folder, tmp_path, words, train, test):
    rows = "".join(f"{k}.png,{words[k % len(words)]}\n" for k in range(30))
    (tmp_path / "t.csv").write_text(f"file,split\n{rows}")
    dataset = load_images(folder, table=tmp_path / "t.csv")
    assert (len(dataset.train), len(dataset.test)) == (train, test)
    assert all(int(id.removesuffix(".png")) % len(words) == len(words) - 1 for id in dataset.test.ids)
    assert "parts from split" in dataset.notes[0]
    if len(words) == 3:
        assert any("was joined to the train part" in note or "was left out" in note for note in dataset.notes)


def test_a_split_of_folds_is_kept_as_a_column_and_said(folder, tmp_path):
    rows = "".join(f"{name},fold{k % 3}\n" for k, name in enumerate(sorted(p.name for p in folder.rglob("*.png"))))
    (tmp_path / "t.csv").write_text(f"file,split\n{rows}")
    dataset = load_images(folder, table=tmp_path / "t.csv")
    assert "split" in dataset.train.columns
    assert any("split: no parts taken, since fold0, fold1" in note for note in dataset.notes), dataset.notes


def test_a_column_of_other_words_is_no_split(folder, tmp_path):
    (tmp_path / "t.csv").write_text("file,set\n" + "".join(f"{k}.png,{'AB'[k % 2]}\n" for k in range(30)))
    dataset = load_images(folder, table=tmp_path / "t.csv")
    assert set(dataset.train.columns["set"]) == {"A", "B"}
    assert len(dataset.test) == 3


def test_the_one_rule_for_validation_parts():
    kinds = ["train", "test", "validation", "development", "holdout", "evaluation", ""]
    parts, notes = joined_parts(kinds)
    assert parts == ["train", "test", "train", "train", "-", "-", ""]
    assert len(notes) == 4
    assert joined_parts(["train", "development"])[0] == ["train", "test"]
    assert joined_parts(["train", "train"]) == (["train", "train"], [])


def test_which_column_holds_the_labels(folder, tmp_path):
    columns = {"file": [f"{k}.png" for k in range(30)], "site": ["ab"[k % 2] for k in range(30)]}
    of = {**columns, "Class Name": ["cd"[k % 2] for k in range(30)]}
    assert load_images(folder, table=of).class_names == ("c", "d")
    assert load_images(folder, table=of, label_column="site").class_names == ("a", "b")
    assert load_images(folder, table=columns).class_names == ()
    numbers = {**columns, "label": [10 if k % 2 else 9 for k in range(30)]}
    assert load_images(folder, table=numbers).class_names == ("9", "10")
    captions = {**columns, "label": [f"image {k}" for k in range(30)]}
    found = load_images(folder, table=captions)
    assert found.class_names == ()
    assert any("the column label has 30 different values for 30 images" in note for note in found.notes)
    fractions = {**columns, "target": [k / 7 for k in range(30)]}
    assert load_images(folder, table=fractions).train.columns["target"].dtype == np.float64
    with pytest.raises(LabelsError, match=r"'target' holds numbers that are not whole"):
        load_images(folder, table=fractions, label_column="target")
    grades = {**columns, "grade": [k % 3 / 2 for k in range(30)]}
    assert load_images(folder, table=grades).class_names == ()
    assert any("no labels (label_column" in note for note in load_images(folder, table=grades).notes)
    assert load_images(folder, table=grades, label_column="grade").class_names == ("0", "0.5", "1")
    unknown = {**columns, "label": ["?" if k == 3 else str(k % 2) for k in range(30)]}
    assert load_images(folder, table=unknown).class_names == ("0", "1", "?")
    endless = {**columns, "label": ["inf" if k == 3 else str(k % 2) for k in range(30)]}
    assert load_images(folder, table=endless).class_names == ()
    hot = {
        **columns,
        **{name: [float(k % 3 == number) for k in range(30)] for number, name in enumerate(["MEL", "NV", "BCC"])},
    }
    found = load_images(folder, table=hot)
    assert found.class_names == ("BCC", "MEL", "NV")
    assert "labels from the columns of 0 and 1 MEL, NV, BCC (3 classes)" in found.notes[0]
    assert list(found.train.columns) == ["site"]
    names = [found.class_names[label] for label in found.train.labels]
    assert names == [("MEL", "NV", "BCC")[int(id.removesuffix(".png")) % 3] for id in found.train.ids]
    flags = {**columns, "smoker": [k % 2 for k in range(30)], "old": [k % 3 == 0 for k in range(30)]}
    assert load_images(folder, table=flags).class_names == ()
    with pytest.raises(UsageError, match=r"no column 'sex'; it has file, site"):
        load_images(folder, table=columns, label_column="sex")
    with pytest.raises(UsageError, match=r"'site' without a table"):
        load_images(folder, label_column="site")
    with pytest.raises(UsageError, match=r"'site' without a table"):
        load_images(noise(20, 8, 8), label_column="site")


def test_the_folders_decide_unless_a_table_is_asked_for(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / name, 10, seed=ord(name[0]))
    rows = "".join(f"{name}/{k}.png,{'ab'[k % 2]}\n" for name in ("cat", "dog") for k in range(10))
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}")
    dataset = load_images(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert set(dataset.train.columns["label"]) == {"a", "b"}
    assert any("classes are the folders" in note for note in dataset.notes)
    asked = load_images(tmp_path, table="labels.csv")
    assert asked.class_names == ("a", "b")
    assert asked.options["table"] == "labels.csv", "so that folder and table can be moved together"


def test_a_found_table_of_few_images_takes_no_image_away(folder):
    (folder / "labels.csv").write_text(as_csv(ROWS[:10]))
    dataset = load_images(folder)
    assert (len(dataset.train) + len(dataset.test), dataset.class_names) == (30, ())
    assert any("labels not taken, since only 10 of 30 images have one" in note for note in dataset.notes)
    (folder / "labels.csv").write_text(as_csv(ROWS[:25]))
    assert len(load_images(folder).train) + len(load_images(folder).test) == 25
    pictures = read_pictures(folder, (3, 16, 16))
    assert len(pictures.parts[0].ids) == 30, "images to be encoded are not left out"


def test_each_part_may_have_its_own_table(tmp_path):
    """The imagefolder convention: metadata.csv in each part, names relative to it."""
    for part, count in (("train", 20), ("test", 6)):
        fill(tmp_path / part, count, seed=count)
        rows = "".join(f"{k}.png,{'xy'[k % 2]},{part}{k % 3}\n" for k in range(count))
        (tmp_path / part / "metadata.csv").write_text(f"file_name,label,batch\n{rows}")
    dataset = load_images(tmp_path)
    assert (len(dataset.train), len(dataset.test), dataset.class_names) == (20, 6, ("x", "y"))
    assert set(dataset.test.columns["batch"]) == {"test0", "test1", "test2"}
    assert [int(id.split("/")[1].removesuffix(".png")) % 2 for id in dataset.test.ids] == dataset.test.labels.tolist()


def test_a_table_of_the_train_part_is_about_its_images(tmp_path):
    fill(tmp_path / "train", 20, seed=1)
    fill(tmp_path / "test", 5, seed=2)  # of the same names, without labels
    (tmp_path / "train.csv").write_text("id,label\n" + "".join(f"{k},{'ab'[k % 2]}\n" for k in range(20)))
    dataset = load_images(tmp_path, table="train.csv")
    assert (len(dataset.train) + len(dataset.test), dataset.class_names) == (20, ("a", "b"))
    assert all(id.startswith("train/") for id in [*dataset.train.ids, *dataset.test.ids])
    assert any("5 images without a label, left out: test/0.png" in note for note in dataset.notes)


def test_a_table_without_a_first_line_of_names(folder, tmp_path):
    (tmp_path / "t.csv").write_text("".join(f"{k}.png,{'ab'[k % 2]}\n" for k in range(30)))
    dataset = load_images(folder, table=tmp_path / "t.csv")
    assert dataset.class_names == ("a", "b")
    assert len(dataset.train) + len(dataset.test) == 30


def test_types_of_columns(folder):
    names = [f"{k}.png" for k in range(30)]
    table = {
        "file": names,
        "whole": list(range(30)),
        "gaps": [None, *range(29)],
        "zeros": [f"{k:03}" for k in range(30)],
        "words": ["é" if k else "" for k in range(30)],
        "empty": [""] * 30,
        "big": [2.0**60] * 30,
    }
    columns = load_images(folder, table=table).train.columns
    kinds = {name: column.dtype.kind for name, column in columns.items()}
    assert kinds == {"whole": "i", "gaps": "f", "zeros": "U", "words": "U", "empty": "U", "big": "f"}


@pytest.mark.parametrize("source", ["array", "npy", "npz", "idx-like parts", "list of files"])
def test_arrays_have_tables_too(tmp_path, source):
    pixels = noise(30, 8, 8)
    table = {"y": ["uv"[k % 2] for k in range(30)], "k": list(range(30))}
    if source == "array":
        given = pixels
    elif source == "npy":
        given = tmp_path / "a.npy"
        np.save(given, pixels)
    elif source == "npz":
        given = tmp_path / "a.npz"
        np.savez(given, images=pixels)
    elif source == "idx-like parts":
        given = tmp_path / "a.npz"
        np.savez(given, x_train=pixels[:20], x_test=pixels[20:])
    else:
        given = [str(save(tmp_path / f"{k}.png", one)) for k, one in enumerate(pixels)]
        table["path"] = given
    dataset = load_images(given, table=table)
    assert dataset.class_names == ("u", "v")
    for part in (dataset.train, dataset.test):
        for one, label, k in zip(part.pixels, part.labels, part.columns["k"], strict=True):
            np.testing.assert_array_equal(one[0], pixels[k])
            assert label == k % 2
    parts = {**table, "split": ["test" if k < 10 else "train" for k in range(30)]}
    again = load_images(given, table=parts)
    assert sorted(again.test.columns["k"].tolist()) == list(range(10))
    for one, k in zip(again.test.pixels, again.test.columns["k"], strict=True):
        np.testing.assert_array_equal(one[0], pixels[k])
    if source != "list of files":
        shuffled = {"id": list(range(29, -1, -1)), "value": list(range(30))}
        if source != "idx-like parts":
            found = load_images(given, table=shuffled).train
            assert [29 - int(id) for id in found.ids] == found.columns["value"].tolist()
        with pytest.raises(TableError, match=r"29 rows for 30 images"):
            load_images(given, table={"value": list(range(29))})


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        ("nothing.csv", ImagesNotFound, "no such table"),
        ("a.xlsx", UsageError, r"not a table by its name; allowed are \.csv"),
        (7, UsageError, "a table of type int"),
        ({"a": [1], "b": [1, 2]}, TableError, "columns of different lengths: a 1, b 2"),
        ({}, TableError, "has no rows"),
    ],
)
def test_tables_that_cannot_be_read(folder, table, error, words):
    with pytest.raises(error, match=words):
        load_images(folder, table=table)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,label\na.png,x,y\n", r"record 2 has 3 values, the first line 2 names"),
        (b"\0\1\2\0", "not a table of text"),
        (b"", "has no rows"),
        (b"file,label\n", "has no rows"),
    ],
)
def test_files_that_are_no_tables(folder, tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError, match=words):
        load_images(folder, table=tmp_path / "t.csv")
    (tmp_path / "t.jsonl").write_text('{"file": "a.png"}\n[1]\n')
    with pytest.raises(TableError, match="line 2 is no JSON object"):
        load_images(folder, table=tmp_path / "t.jsonl")


def test_a_run_keeps_its_columns(tmp_path, capsys):
    """From the table to the run, its latents, the explorer, the exported file and `encode`."""
    folder = tmp_path / "scans"
    fill(folder, 40, (8, 8))
    rows = "".join(f"{k}.png,{'ab'[k % 2]},{k / 2},s{k % 3},name {k}\n" for k in range(40))
    (folder / "labels.csv").write_text(f"file,label,age,site,comment\n{rows}")
    out = tmp_path / "run"
    command = ["run", str(folder), "--out", str(out), "--epochs", "1", "--latent-dim", "4", "--json"]
    assert main(command) == 0
    capsys.readouterr()
    from latens import open_run
    from latens.explorer import answer, write_html

    run = open_run(out)
    numbers = [int(str(id).removesuffix(".png")) for id in run.latents["ids"]]
    assert run.columns["age"].tolist() == [k / 2 for k in numbers]
    assert run.columns["site"].tolist() == [f"s{k % 3}" for k in numbers]
    columns = {one["name"]: one for one in answer(run, "/api/run")["columns"]}
    assert columns["table:age"]["kind"] == "number"
    assert columns["table:site"]["names"] == ["s0", "s1", "s2"]
    assert "table:comment" not in columns, "as many values as images are no classes"
    assert '"table:site"' in write_html(run, tmp_path / "e.html").read_text()
    assert main(["encode", str(out), str(folder), "-o", str(tmp_path / "e.npz")]) == 0
    with np.load(tmp_path / "e.npz") as encoded:
        assert encoded["column:age"].tolist() == [int(str(id).removesuffix(".png")) / 2 for id in encoded["ids"]]
    assert run.images.train.columns["age"].shape == (len(run.images.train),)


def test_the_command_line_says_what_is_wrong_in_one_line(folder, capsys):
    for options, words in (
        (["--table", "nowhere.csv"], "nowhere.csv: no such table"),
        (["--label-column", "x"], "label column 'x' without a table"),
    ):
        assert main(["data", str(folder), *options]) == 2
        told = capsys.readouterr()
        assert words in told.err
        assert len(told.err.strip().splitlines()) == 1
