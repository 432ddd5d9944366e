"""Programs that keep the documentation true: pictures, and the table of settings."""
