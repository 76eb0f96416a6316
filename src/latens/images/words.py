"""The words that options of reading take. The command line reads them; that must not cost the import of numpy."""

__all__ = ["BY_DATA", "BY_TYPE", "FITS", "LAYOUTS", "LINKS", "MASKS", "PAGES"]

FITS = ("pad", "crop", "stretch")  # how images of another shape come to a size, see `latens.images.fit`
PAGES = ("first", "all", "channels")  # which images of a file with several count, see `latens.images.folder_images`
LAYOUTS = ("NCHW", "NHWC")  # the order of an array's axes, see `latens.images.layout`
MASKS = ("leave-out", "keep")  # of a folder with masks beside images
LINKS = ("inside", "all")  # of a folder: those that lead to what lies in it, or all
BY_TYPE, BY_DATA = "type", "data"  # a range that is not given in numbers, see `latens.images.ranges`
