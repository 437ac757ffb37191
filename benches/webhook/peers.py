"""The servers that the webhook is compared with, on the same machine, core, certificate and load.

`bare`: a FastAPI route that decodes the review and allows it, which any webhook on this stack does at least.
`trivial`: answers without looking at the request; as fast as the load can be served, it shows what the load can do.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from pathlib import Path
from typing import cast

import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

HEAD_END = b"\r\n\r\n"
ALLOWED = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"","allowed":true}}'


def bare() -> FastAPI:
    """The route."""
    app = FastAPI()

    @app.post("/mutate/pods")
    async def mutate(request: Request) -> Response:
        review = orjson.loads(await request.body())
        response = {"uid": review["request"]["uid"], "allowed": True}
        answer = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
        return Response(orjson.dumps(answer), media_type="application/json")

    return app


class Trivial(asyncio.Protocol):
    """Counts the bytes of a request by its content-length, answers, and starts again."""

    def __init__(self) -> None:
        self._expected = 0
        self._seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it

    def data_received(self, data: bytes) -> None:
        """Count; all requests of a connection are of one length, so only the first is looked at."""
        self._seen += len(data)
        if not self._expected:
            head, _, _ = data.partition(HEAD_END)
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            self._expected = len(head) + len(HEAD_END) + int(length)
        if self._seen >= self._expected:
            self._seen -= self._expected
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ALLOWED), ALLOWED))


async def _serve_trivial(port: int, certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", port, ssl=context)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["bare", "trivial"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    told = parser.parse_args()
    if told.kind == "trivial":
        uvloop.run(_serve_trivial(told.port, told.certificate, told.key))
        return
    uvicorn.run(
        bare(),
        host="127.0.0.1",
        port=told.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        ssl_certfile=str(told.certificate),
        ssl_keyfile=str(told.key),
    )


if __name__ == "__main__":
    main()
