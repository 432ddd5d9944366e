"""The back-test: what the rules would have found in a daily history, by the code that runs live; no database."""
