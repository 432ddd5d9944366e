"""Which findings a day and an answer give, by which dated rule set, from which population."""
