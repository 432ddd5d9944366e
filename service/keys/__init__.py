"""The root key, what is sealed under it, and tokens."""
