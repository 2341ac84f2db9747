"""The reasons for which a shop may want rows left out: `rules` has one function each, `apply` runs and counts them."""
