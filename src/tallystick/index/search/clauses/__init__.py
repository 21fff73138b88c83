"""From parts of a question to queries of the index, each with what it leaves undecided."""
