"""The gate before an infusion: what is open, what is proposed, and what people decided about it."""
