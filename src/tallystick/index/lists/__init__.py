"""Lists, totals and resources: which entries have which exact terms, in which order."""
