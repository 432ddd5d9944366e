"""What Neap makes in a data folder, and taking away just that: the folder may be anybody's by a slip of a setting."""

import shutil
from pathlib import Path

from service.config import ROLES
from service.embedded.errors import EmbeddedError

FILES = (
    *("embedded.json", "embedded.json.unfinished", "embedded.lock", "postgres.password"),
    *("postgres.log", "postgres.log.1", "postgres.log.unfinished"),
    *("demo.json", "demo.unfinished", "demo.lock", "jobs.log", "web.log"),
    *("phones.json", "phones.unfinished"),
)
CLUSTERS = ("postgres", "postgres.unfinished")
SECRETS = ("key", *(f"{role}_password" for role in ("postgres", *ROLES)))
CAUGHT = {"mail": "*.eml*", "webhooks": "*.json*"}
NAMES = {*FILES, *CLUSTERS, *CAUGHT, "secrets"}

# Made by `make secrets` for containers: such a folder of secrets is a deployment's, and never ours to delete.
OF_A_DEPLOYMENT = "admin_database_url"


def refuse_foreign(folder: Path) -> None:
    """Raise EmbeddedError for a folder in which Neap kept nothing, or a deployment keeps its secrets."""
    if not folder.is_dir():
        raise EmbeddedError(f"{folder} is a file; NEAP_DATA_DIR names a folder")
    held = {each.name for each in folder.iterdir()}
    ours = (folder / "embedded.json").is_file() or (folder / "secrets" / "postgres_password").is_file()
    if (folder / "secrets" / OF_A_DEPLOYMENT).exists() or (held - NAMES and not ours):
        raise EmbeddedError(f"{folder} is no data folder of Neap's; nothing was deleted")


def remove(folder: Path) -> None:
    """Delete what Neap makes, by name; what is a link is not followed."""
    for name in CLUSTERS:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            shutil.rmtree(folder / name)
    for name, pattern in CAUGHT.items():
        _remove_files(folder / name, list((folder / name).glob(pattern)))
    made = [folder / "secrets" / name for name in SECRETS]
    _remove_files(folder / "secrets", made + [file.with_suffix(".unfinished") for file in made])
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def _remove_files(folder: Path, files: list[Path]) -> None:
    if not folder.is_dir() or folder.is_symlink():
        return
    for file in files:
        file.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
