"""The roles of arrays in a file, by their names: images, labels or class names of a part."""

import re

__all__ = ["role_of"]

PARTS = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "test": "test", "testing": "test", "tst": "test", "te": "test",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip
IMAGES = {
    "", "x", "image", "images", "img", "imgs", "picture", "pictures", "pixels", "data", "inputs", "input", "arr_0",
    "x_data", "image_data", "image_array", "xs",
}  # fmt: skip
LABELS = {
    "y", "label", "labels", "lbl", "lbls", "target", "targets", "class", "classes", "class_ids", "class_id", "label_ids",
    "category", "y_data", "ys", "arr_1",
}  # fmt: skip
CLASS_NAMES = {
    "class_names",
    "classnames",
    "label_names",
    "labelnames",
    "target_names",
    "names",
    "categories",
    "class_labels",
}
KINDS, SHORT = "x|y|images?|labels?|imgs?|targets?|data", "train|test|val|valid"
JOINED = re.compile(f"({KINDS})({SHORT})|({SHORT})({KINDS})")  # "xtrain", "testlabels"


def role_of(name: str) -> tuple[str, str] | None:
    """The part that an array belongs to, and its role there; None for an unknown name.

    Returns:
        ("train" | "test" | "validation" | "all", "images" | "labels" | "names").

    >>> role_of("x_train"), role_of("valLabels"), role_of("training_targets")
    (('train', 'images'), ('validation', 'labels'), ('train', 'labels'))
    >>> role_of("Y"), role_of("class_names"), role_of("latents")
    (('all', 'labels'), ('all', 'names'), None)
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    if len(words) == 1 and (match := JOINED.fullmatch(words[0])):
        words = [group for group in match.groups() if group]
    parts = [PARTS[word] for word in words if word in PARTS]
    rest = "_".join(word for word in words if word not in PARTS)
    if len(parts) > 1 or not words:
        return None
    part = parts[0] if parts else "all"
    if rest in IMAGES:
        return part, "images"
    if rest in LABELS:
        return part, "labels"
    return ("all", "names") if rest in CLASS_NAMES and part == "all" else None
