"""Wait until a URL answers with success: for init containers. `python3 -m shop.wait URL`."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 2.0
PAUSE_SECONDS = 0.5


def main(url: str) -> None:
    """Try for ever: how long an init container may take is Kubernetes' to say."""
    complaint = ""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS):  # noqa: S310  (the URL is the pod's own argument)
                print(f"{url} answers")
                return
        except (OSError, urllib.error.URLError) as error:
            if str(error) != complaint:
                complaint = str(error)
                print(f"waiting for {url}: {complaint}", flush=True)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
