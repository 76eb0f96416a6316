"""A table of images that are rows of arrays: its classes, parts and columns put into a plan."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from latens.errors import ImagesError, UsageError
from latens.images.plan import Block, Options, Part, Plan
from latens.images.table import tell
from latens.images.table_files import ImageTable
from latens.text import natural_key

__all__ = ["with_table"]


def with_table(plan: Plan, options: Options, *, in_order: bool = True) -> Plan:
    """A plan with what the table that was asked for says of its images.

    Args:
        plan: one part or two.
        options: with the table.
        in_order: whether the images are numbered, see `tell`.

    Raises:
        ImagesError: the table does not fit the images.
    """
    if not isinstance(options.table, ImageTable):
        if options.label_column is not None:
            raise UsageError(f"label column {options.label_column!r} without a table; give one (table, --table)")
        return plan
    ids = [str(one) for part in plan.parts for one in part.ids]
    told = tell(options.table, ids, options.label_column, in_order=in_order, strict=options.strict)
    notes = [note for note in plan.notes if not (told.labels is not None and note.startswith("labels were not used"))]
    names = np.repeat([part.name for part in plan.parts], [len(part.ids) for part in plan.parts])
    use = np.ones(len(ids), dtype=bool)
    labels, class_names = None, plan.class_names
    if told.labels is not None:
        class_names = tuple(sorted({label for label in told.labels if label}, key=natural_key))
        number = {name: index for index, name in enumerate(class_names)}
        labels = np.array([number.get(label, -1) for label in told.labels], dtype=np.int64)
        use &= labels >= 0
    elif class_names:
        labels = np.concatenate([part.labels for part in plan.parts if part.labels is not None])
    if told.parts is not None:
        parts = np.array(told.parts)
        use &= parts != "-"
        split = bool((parts == "test").any())
        names = np.where(parts == "test", "test", "train") if split else np.full(len(ids), "all")
    made = []
    for name in ("all", "train", "test"):
        rows = np.flatnonzero(use & (names == name))
        if len(rows):
            columns = {column: values[rows] for column, values in told.columns.items()}
            made.append(_part(name, plan.parts, rows, None if labels is None else labels[rows], columns))
    if [part.name for part in made] == ["test"]:
        raise ImagesError(f"{options.table.where}: only test images have a label; name train images in the table too")
    if [part.name for part in made] == ["train"]:
        made = [replace(made[0], name="all")]
    return replace(plan, class_names=class_names, parts=tuple(made), notes=(*told.notes, *notes))


def _part(
    name: str, sources: Sequence[Part], rows: np.ndarray, labels: np.ndarray | None, columns: dict[str, np.ndarray]
) -> Part:
    """Some images of several parts, counted one behind the other, as one part."""
    starts = np.cumsum([0, *(len(part.ids) for part in sources)])
    ids = np.concatenate([part.ids for part in sources])[rows]

    def blocks() -> Iterator[Block]:
        for part, start, end in zip(sources, starts[:-1], starts[1:], strict=True):
            wanted = rows[(rows >= start) & (rows < end)]
            if not len(wanted):
                continue
            for block in part.blocks():
                inside = np.isin(block.rows + start, wanted)
                places = np.searchsorted(rows, block.rows[inside] + start)
                refused = [
                    one._replace(row=int(np.searchsorted(rows, one.row + start)), part=name)
                    for one in block.refused
                    if one.row + start in wanted
                ]
                yield Block(block.pixels[inside], places, tuple(refused))

    return Part(name, sources[0].where, ids, labels, blocks, columns)
