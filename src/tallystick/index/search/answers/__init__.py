"""What is answered about a selection: pages in any order, counts of values, aggregates."""
