"""Backups of the embedded server around PostgreSQL's own tools, and the proof that one gives everything back.

`base_backup` takes base backups beside the archived log, `restore` makes a data folder of both, `drill` does so
somewhere else and proves what came back. What a backup must hold is written beside it (`contents`).
"""
