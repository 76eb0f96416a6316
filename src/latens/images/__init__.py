"""Images: `load_images` returns the train and the test part of a data set, from any source."""

from latens.images.contract import Dataset, Images
from latens.images.describe import contact_sheet, pick_evenly, summary
from latens.images.load import SOURCES, load_images

__all__ = ["SOURCES", "Dataset", "Images", "contact_sheet", "load_images", "pick_evenly", "summary"]
