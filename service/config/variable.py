"""How a setting is called outside, and what is raised where it cannot be used."""

PREFIX = "NEAP_"


class ConfigError(Exception):
    """The settings cannot be used; `faults` names every one that is wrong, never with its value."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def variable_of(name: str) -> str:
    """The environment's name of a setting."""
    return PREFIX + name.upper()
