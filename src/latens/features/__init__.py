"""Features: what generation scores look through. A classifier for pictures with labels, random convolutions for others."""

from latens.features.features import Features
from latens.features.lookup import features_for

__all__ = ["Features", "features_for"]
