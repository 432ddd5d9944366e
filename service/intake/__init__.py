"""Answers from phones on their way into the database."""
