"""Where the page is found."""

from __future__ import annotations

import errno
import socket

from leukosr.errors import LeukoError

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # addresses of this machine alone
NAMES = ("127.0.0.1", "localhost", "[::1]")  # the same as browsers write them in the Host header


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 takes a free one. Raises LeukoError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (TypeError, UnicodeError):  # a name that cannot be looked up: too long, or with signs that no name has
        raise LeukoError(f"cannot listen on {host}, which is no address: name another with --host") from None
    except OSError as error:
        option = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
        raise LeukoError(
            f"cannot listen on {host}, port {port} ({error.strerror}): name another with --{option}"
        ) from None
