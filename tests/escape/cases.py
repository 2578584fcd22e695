"""What an attempt is expected to meet, inside an environment and on the host."""

from dataclasses import dataclass, field, replace

SUCCEEDS = "succeeds"
# Why an attempt cannot be made on the host.
HARMS = "would do harm"
INSIDE = "shows by itself, inside, that it can succeed"
# Stands for the daemon's process id in an event.
DAEMON = "daemon"


@dataclass(frozen=True)
class Case:
    """`attempt` (module.function) is refused inside with one of `refused`; the same code on the host, as root, meets
    `host`: it succeeds, or fails with another errno because it came further, or it cannot be run there."""

    attempt: str
    refused: str | tuple
    host: str | tuple = SUCCEEDS
    event: dict = field(default_factory=dict)
    # Where the event on the host must be another.
    host_event: dict = field(default_factory=dict)
    # Needs a function for itself, as it does away with the process that would make the next attempt.
    alone: bool = False
    name: str = ""

    def __str__(self):
        return self.name or self.attempt

    @property
    def reasons(self):
        return (self.refused,) if isinstance(self.refused, str) else self.refused

    def told(self, facts):
        """The same with more facts in its event: a text that is nothing but `{name}` becomes the fact as it is."""
        known = {key: facts.get(str(value)[1:-1], value) if is_name(value) else value for key, value in self.event.items()}
        return replace(self, event=known)

    @property
    def host_reasons(self):
        return (self.host,) if isinstance(self.host, str) else self.host


def is_name(value):
    return isinstance(value, str) and value.startswith("{") and value.endswith("}")


def by_name(cases):
    """Arguments of `pytest.mark.parametrize`."""
    return {"argnames": "case", "argvalues": cases, "ids": [str(case) for case in cases]}
