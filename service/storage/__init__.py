"""The database as an operator meets it: roles, schema, preparing both."""
