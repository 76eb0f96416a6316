"""Images: `load_images` returns the train and the test part of a data set, from any source."""

from typing import TYPE_CHECKING

from latens.tables import lazy_names

if TYPE_CHECKING:
    from latens.images.contract import Dataset as Dataset
    from latens.images.contract import Images as Images
    from latens.images.describe import contact_sheet as contact_sheet
    from latens.images.describe import pick_evenly as pick_evenly
    from latens.images.describe import summary as summary
    from latens.images.load import SOURCES as SOURCES
    from latens.images.load import load_images as load_images

_HOMES = {
    "Dataset": "contract",
    "Images": "contract",
    "SOURCES": "load",
    "contact_sheet": "describe",
    "load_images": "load",
    "pick_evenly": "describe",
    "summary": "describe",
}

__all__ = ["SOURCES", "Dataset", "Images", "contact_sheet", "load_images", "pick_evenly", "summary"]

# Who shows the images of a run reads no files of other kinds; the command line reads the words of options, and no numpy.
__getattr__ = lazy_names(__name__, _HOMES)
