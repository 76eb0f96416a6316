"""Tables for data frame libraries."""

from typing import Any

from latens.errors import MissingExtra

__all__ = ["Rows", "pandas_frame"]


def pandas_frame(data: Any) -> Any:
    """A `pandas.DataFrame` of rows (dicts) or of columns (arrays by name).

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingExtra("a DataFrame needs pandas, which is not installed: pip install pandas") from None
    return pandas.DataFrame(data)


class Rows(list[dict[str, Any]]):
    """A list of rows, one dict each, that is also a table: `polars.DataFrame(rows)` takes it as it is."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return pandas_frame(list(self))
