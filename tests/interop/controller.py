"""Calls one method of Python supervice's Controller and tells what it returned and printed, as one line of JSON.

    python controller.py SOCKET METHOD [NAME] [force]
"""

import asyncio
import contextlib
import io
import json
import sys

from supervice.client import Controller


def main() -> None:
    socket_path, method, *arguments = sys.argv[1:]
    options = {}
    if "force" in arguments:
        arguments.remove("force")
        options["force"] = True
    controller = Controller(socket_path=socket_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        returned = asyncio.run(getattr(controller, method)(*arguments, **options))
    print(json.dumps({"returned": returned, "printed": printed.getvalue()}))


if __name__ == "__main__":
    main()
