"""The search index: words, payload fields, patterns, relevance and aggregates.

`write` fills it, `read` answers from it; `engine` alone knows the library it is made with.
"""

from tallystick.index.search.moment import SearchMoment
from tallystick.index.search.reader import SearchReader
from tallystick.index.search.selection import Recall
from tallystick.index.search.writer import SearchWriter

__all__ = ["Recall", "SearchMoment", "SearchReader", "SearchWriter"]
