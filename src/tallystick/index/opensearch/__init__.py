"""The search kept in an OpenSearch, in the place of an index in each data folder."""
