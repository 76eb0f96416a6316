"""A package that is installed as far as Python can tell: modules beside a .dist-info folder with entry points, on the path."""

import latens

TABLES = ("FIGURES", "MAPS", "METRICS", "MODELS", "NETWORKS", "PATHS", "RECIPES", "SAMPLERS", "SOURCES")


def all_tables():
    from latens.figures import FIGURES
    from latens.images.load import SOURCES

    public = [getattr(latens, name) for name in TABLES if name not in ("FIGURES", "SOURCES")]
    return [*public, FIGURES, SOURCES]


def install(monkeypatch, folder, package, modules, entries):
    """Install a package for one test.

    Args:
        monkeypatch: pytest's.
        folder: an empty one.
        package: the name of the distribution.
        modules: file name -> source.
        entries: group -> {name: "module:attribute"}.
    """
    from latens import tables

    for name, source in modules.items():
        (folder / name).write_text(source)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in one.items()) for group, one in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(folder)
    tables._all_plugins.cache_clear()
    monkeypatch.setattr(tables, "_all_plugins", tables._all_plugins.__wrapped__)
    for table in all_tables():
        # What a table has looked up is of before; monkeypatch takes the new look-up away afterwards.
        monkeypatch.setitem(table.__dict__, "plugins", type(table).plugins.func(table))
