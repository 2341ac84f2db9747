"""Search by words in the served graph: words, BM25, exact matches, spelling, and how they join the towers' scores."""
