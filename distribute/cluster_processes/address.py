"""``host:port``, as TensorFlow wants the address of a process."""

import re

from .config_error import ClusterConfigError

# An IPv6 address in brackets, or a name or IPv4 address, which holds no colon.
_HOST = re.compile(r"\[(?P<ipv6>[0-9a-fA-F:.]+(%\w+)?)\]|(?P<name>[\w.-]+)", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_WRITE = "write host:port, such as 10.0.0.1:2222, node-1:2222 or [fd00::1]:2222"
_LAST_PORT = 65535
_EVERY_ADDRESS = ("0.0.0.0", "::")


def split_address(address: object) -> tuple[str, int]:
    """Host, without the brackets of IPv6, and port.

    Raises:
      ClusterConfigError: it is not of the form ``host:port``.
    """
    shown = f"{address!r:.60}"
    if not isinstance(address, str):
        raise ClusterConfigError(f"address {shown} is no string", _WRITE)
    if "://" in address:
        raise ClusterConfigError(f"address {shown} has a scheme", _WRITE)
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        raise ClusterConfigError(f"address {shown} has no port", _WRITE)
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= _LAST_PORT:
        raise ClusterConfigError(f"address {shown} has port {port!r:.20}, which is none of 1 to {_LAST_PORT}", _WRITE)
    match = _HOST.fullmatch(host)
    if not match:
        what = "an IPv6 address without brackets" if ":" in host else "no name or address of a host"
        raise ClusterConfigError(f"address {shown}: {host!r:.60} is {what}", _WRITE)
    name = match["ipv6"] or match["name"]
    if name in _EVERY_ADDRESS:
        raise ClusterConfigError(
            f"address {shown} stands for every address of a machine",
            "write one by which the other machines reach it",
        )
    return name, int(port)
