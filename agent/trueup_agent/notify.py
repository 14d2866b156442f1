"""Tell systemd how the daemon is (sd_notify): READY=1, WATCHDOG=1, STOPPING=1. Does nothing where nobody listens."""

import socket


class Notifier:
    """`address` is $NOTIFY_SOCKET, `watchdog_seconds` $WATCHDOG_USEC in seconds; both None outside systemd."""

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        # A leading @ stands for the NUL byte of Linux's abstract namespace.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_seconds = watchdog_seconds

    def tell(self, state: str) -> None:
        """`READY=1`, `STOPPING=1`, `WATCHDOG=1` or `STATUS=…`. Never fails: being watched is no reason to stop."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.connect(self._address)
                channel.send(state.encode())
        except OSError:
            pass
