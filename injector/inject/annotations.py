"""Every annotation key of the mesh, declared once. The README's table and all messages come from here."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from injector.inject import inbound_policy, values
from injector.inject.names import DISABLED, ENABLED, PREFIX

SHOWN_VALUE_LENGTH: Final = 64
"""Characters of a bad value that a message repeats: enough to find it. The API server cuts warnings at 256 in all."""

LONGEST_GUESSED_KEY: Final = 63
"""A Kubernetes key's name part has at most 63 characters (qualified names); a longer one is not worth a guess."""

MOST_UNKNOWN_KEYS: Final = 16
"""Unknown keys that are named. A guess takes some 20 µs, and the API server passes on 4 KiB of warnings at most."""


@dataclass(frozen=True, slots=True)
class Key:
    """One annotation. `read` turns its text into a value or raises ValueError with what was expected.

    A key that `guards` keeps somebody out. Where such a word cannot be read, no other stands in for it: nobody would
    notice what a typing error opens.
    """

    name: str
    type: str
    default: str
    range: str
    where: str
    sentence: str
    read: values.Reader
    guards: bool = False

    @property
    def annotation(self) -> str:
        """The full key, as it stands in `metadata.annotations`."""
        return PREFIX + self.name


_EVERYWHERE: Final = "Namespace, pod, installation"

INJECT_KEY: Final = Key(
    "inject", "word", DISABLED, "`enabled`, `disabled`", "Namespace, pod",
    "Opts a namespace or one pod in or out; the pod's word wins.",
    values.one_of(ENABLED, DISABLED),
)  # fmt: skip

SETTINGS: Final[tuple[Key, ...]] = (
    Key("log-level", "word", "info", "`trace`, `debug`, `info`, `warn`, `error`", _EVERYWHERE,
        "What the proxy logs.",
        values.one_of("trace", "debug", "info", "warn", "error")),
    Key("log-format", "word", "text", "`text`, `json`", _EVERYWHERE,
        "How the proxy logs.",
        values.one_of("text", "json")),
    Key("proxy-cpu-request", "quantity", "10m", "`1m` to `64`, empty for none", _EVERYWHERE,
        "CPU that the scheduler sets aside for the proxy.",
        values.amount("1m", "64")),
    Key("proxy-cpu-limit", "quantity", "", "`10m` to `64`, empty for none", _EVERYWHERE,
        "CPU that the proxy may use at most; it runs one worker a core of it, and one where there is no limit.",
        values.amount("10m", "64")),
    Key("proxy-memory-request", "quantity", "16Mi", "`4Mi` to `64Gi`, empty for none", _EVERYWHERE,
        "Memory that the scheduler sets aside for the proxy.",
        values.amount("4Mi", "64Gi")),
    Key("proxy-memory-limit", "quantity", "", "`16Mi` to `64Gi`, empty for none", _EVERYWHERE,
        "Memory that the proxy may use at most.",
        values.amount("16Mi", "64Gi")),
    Key("skip-inbound-ports", "ports", "", "1 to 65535, ranges", _EVERYWHERE,
        "Ports of the pod whose connections do not pass through the proxy.",
        values.port_list),
    Key("skip-outbound-ports", "ports", "", "1 to 65535, ranges", _EVERYWHERE,
        "Destination ports that the pod reaches without the proxy.",
        values.port_list),
    Key("skip-inbound-subnets", "subnets", "", "IPv4 and IPv6", _EVERYWHERE,
        "Sources whose connections to the pod do not pass through the proxy.",
        values.subnet_list),
    Key("skip-outbound-subnets", "subnets", "", "IPv4 and IPv6", _EVERYWHERE,
        "Destinations that the pod reaches without the proxy.",
        values.subnet_list),
    Key("opaque-ports", "ports", "", "1 to 65535, ranges", f"Service, {_EVERYWHERE}",
        "Ports whose connections are carried as plain bytes, without a look at the protocol; a Service's and a "
        "namespace's name ports of Services, too.",
        values.port_list),
    Key("default-inbound-policy", "word", "all-unauthenticated",
        "`all-unauthenticated`, `cluster-unauthenticated`, `all-authenticated`, `cluster-authenticated`, `deny`",
        _EVERYWHERE,
        "Who may connect: from everywhere or from the cluster's networks, anybody or identities of the mesh; a pod "
        "cannot let in more than its namespace.",
        values.one_of(*inbound_policy.POLICIES), guards=True),
    Key("unknown-destinations", "word", "auto", "`auto`, `pass`, `refuse`", _EVERYWHERE,
        "What becomes of a connection whose destination discovery does not answer for within 3 s; `auto` refuses it "
        "inside the cluster's networks and passes it outside.",
        values.one_of("auto", "pass", "refuse")),
    Key("shutdown-grace", "duration", "30s", "`0s` to `1h`", _EVERYWHERE,
        "How long the proxy lets open connections finish when the pod ends.",
        values.duration(3600)),
)  # fmt: skip

KEYS: Final = (INJECT_KEY, *SETTINGS)
BY_ANNOTATION: Final = {key.annotation: key for key in KEYS}
BY_NAME: Final = {key.name: key for key in KEYS}


def bad_value(key: Key, value: str, expected: str) -> str:
    """The message for a value that a key cannot take; the value is cut and escaped, for it may be hostile."""
    shown = value if len(value) <= SHOWN_VALUE_LENGTH else value[:SHOWN_VALUE_LENGTH] + "…"
    return f"{key.annotation}: {expected}, got {shown!r}"


def unknown_keys(annotations: Iterable[str]) -> Iterator[str]:
    """A warning for each key under our prefix that nobody reads, with the nearest one that exists."""
    unknown = [name for name in annotations if name.startswith(PREFIX) and name not in BY_ANNOTATION]
    if len(unknown) > MOST_UNKNOWN_KEYS:
        yield f"{len(unknown)} annotations under {PREFIX} are unknown; the first {MOST_UNKNOWN_KEYS} follow"
    for annotation in unknown[:MOST_UNKNOWN_KEYS]:
        name = annotation.removeprefix(PREFIX)
        near = (
            difflib.get_close_matches(name, [key.name for key in KEYS], n=1) if len(name) <= LONGEST_GUESSED_KEY else []
        )
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "see the README for the keys"
        yield f"annotation {(PREFIX + name[:LONGEST_GUESSED_KEY])!r} is unknown and has no effect; {hint}"
