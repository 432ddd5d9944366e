"""The least that others would write for the same storing of a check-in, to measure ours against."""
