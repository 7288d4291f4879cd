"""Whether this machine and its network can hold a process of a cluster: names, own address, own port.

TensorFlow says nothing of a name that does not resolve and waits; of a port that is in use it says "Could not start
gRPC server".
"""

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Collection

from .address import split_address
from .config_error import ClusterConfigError
from .member import Member

ISOLATE = "use an isolated network: TensorFlow's gRPC server asks nobody who he is, and encrypts nothing"

# Together under a second: somebody waits for the message.
_OWN_HOST_WITHIN_S = 0.6
_PATIENCE_S = 0.3
_PAUSE_S = 0.1


def check_network(member: Member, *, own_host_within_s: float = _OWN_HOST_WITHIN_S) -> None:
    """Refuses what TensorFlow would wait for, for an hour, or fail on.

    Other hosts need not be there yet.

    Args:
      member: this process.
      own_host_within_s: its own host's name is asked for again until so many seconds have passed. The name of a
        Kubernetes Service may appear seconds after its pod.

    Raises:
      ClusterConfigError: the own host does not resolve, or to no address of this machine, as that of a Service that is
        not headless; the own port cannot be opened; two names stand for one address.
    """
    host, port = split_address(member.address)
    own = _resolve_patiently(host, own_host_within_s)
    if not own:
        raise ClusterConfigError(
            f"this process is {_name(member)}, and its host {host!r} does not resolve to an address "
            f"(asked for {own_host_within_s:g} s)",
            f"ask for it (getent hosts {host}), and name it as the other machines know it",
        )
    _refuse_one_address_twice(member)
    if not any(is_own(address) for address in own):
        raise ClusterConfigError(
            f"this process is {_name(member)}, and its host {host!r} ({', '.join(sorted(own))}) is no address of this "
            "machine",
            "give every process the index of its own address; a Kubernetes Service has to be headless",
        )
    _require_free(port, member)


def exposure_warning(member: Member) -> str:
    """A warning where the cluster has a public address; empty where it has none."""
    hosts = public_hosts(member)
    return f"public addresses in the cluster ({', '.join(hosts)}); {ISOLATE}" if hosts else ""


def public_hosts(member: Member) -> list[str]:
    """The hosts of the cluster that have an address of the internet, as far as they resolve."""
    resolved = resolve({split_address(address)[0] for address in member.addresses})
    return sorted(host for host, found in resolved.items() if any(_is_public(address) for address in found))


def resolve(hosts: Collection[str], *, within_s: float = _PATIENCE_S) -> dict[str, frozenset[str]]:
    """The IP addresses of each host; none where there is no answer within so many seconds.

    The threads are daemons: `socket.getaddrinfo` cannot be broken off, and must not hold the process up at its end.
    """
    found: dict[str, frozenset[str]] = dict.fromkeys(hosts, frozenset())

    def look_up(host: str) -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # no such name; a label of no or of more than 63 characters
            return
        found[host] = frozenset(str(answer[4][0]) for answer in answers)

    threads = [threading.Thread(target=look_up, args=(host,), daemon=True) for host in hosts]
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def is_own(address: str) -> bool:
    """True for an IP address of this machine: only to those can a socket be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.bind((address, 0))
    except OSError:
        return False
    return True


def _resolve_patiently(host: str, within_s: float) -> frozenset[str]:
    deadline = time.monotonic() + within_s
    while not (found := resolve([host], within_s=max(0.0, deadline - time.monotonic()))[host]):
        if time.monotonic() + _PAUSE_S > deadline:
            break
        time.sleep(_PAUSE_S)
    return found


def _refuse_one_address_twice(member: Member) -> None:
    split = {address: split_address(address) for address in member.addresses}
    resolved = resolve({host for host, _ in split.values()})
    seen: dict[tuple[frozenset[str], int], str] = {}
    for address, (host, port) in split.items():
        place = resolved[host], port
        if resolved[host] and (before := seen.setdefault(place, address)) != address:
            raise ClusterConfigError(
                f"{before} and {address} are one address ({', '.join(sorted(resolved[host]))})",
                "each process of a cluster needs one of its own",
            )


def _require_free(port: int, member: Member) -> None:
    # TensorFlow opens it on every address of the machine, whichever one TF_CONFIG names, and so does this.
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=dual).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ClusterConfigError(
            f"this process is {_name(member)}, and port {port} of this machine cannot be opened ({reason})",
            f"see who has it (ss -ltnp 'sport = :{port}'), often a run that did not end, or name another port",
        ) from error


def _name(member: Member) -> str:
    task_type, index = member.task
    return f"{task_type} {index}"


def _is_public(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_global
