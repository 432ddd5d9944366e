"""Instruments: questionnaires as data, what they add up to, and when they are due; pure, but for its own files."""
