"""A worker under supervice (or systemd): ready, status and watchdog without a library."""

import os
import socket
import time


def notify(*lines):
    """Tells the supervisor something; without one, nobody."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # systemd may use an abstract address; supervice does not.
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto("\n".join(lines).encode(), address)


def main():
    time.sleep(1)  # Whatever it takes to be ready.
    notify("READY=1", "STATUS=Waiting for work")
    done = 0
    while True:
        time.sleep(1)  # One piece of work. If it hangs here, it is restarted after watchdog_sec.
        done += 1
        notify("WATCHDOG=1", f"STATUS={done} pieces done")


if __name__ == "__main__":
    main()
