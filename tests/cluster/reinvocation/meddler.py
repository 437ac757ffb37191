"""A mutating webhook that does to a pod what its annotation `meddle` lists. Runs inside a pod (`python -c`)."""

import base64
import json
import os
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


def meddle(spec: Json, habits: list[str]) -> None:
    """Change the spec in place; doing it twice is doing it once, as a webhook's authors should see to."""
    inits, containers = spec.setdefault("initContainers", []), spec["containers"]
    if "init-first" in habits and "meddled-init" not in [each["name"] for each in inits]:
        inits.insert(0, {"name": "meddled-init", "image": "app"})
    if "reverse" in habits and not any(each["name"] == "injector-init" for each in inits[1:]):
        inits.reverse()
    if "probed-container" in habits and "meddled" not in [each["name"] for each in containers]:
        probe = {"httpGet": {"path": "/meddled", "port": 7000}}
        containers.append({"name": "meddled", "image": "app", "livenessProbe": probe})
    if "env" in habits:
        for each in (*inits, *containers):
            env = each.setdefault("env", [])
            if not any(entry["name"] == "MEDDLED" for entry in env):
                env.append({"name": "MEDDLED", "value": "yes"})


class Webhook(BaseHTTPRequestHandler):
    """One AdmissionReview after the other; the whole spec is replaced where anything has changed."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        pod = review["request"]["object"]
        before = json.dumps(pod["spec"])
        meddle(pod["spec"], json.loads(pod["metadata"]["annotations"]["meddle"]))
        response: Json = {"uid": review["request"]["uid"], "allowed": True}
        if json.dumps(pod["spec"]) != before:
            patch = [{"op": "replace", "path": "/spec", "value": pod["spec"]}]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        answer = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def main() -> None:
    with open("/tmp/pair.pem", "w") as file:  # noqa: PTH123
        file.write(os.environ["PAIR"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/pair.pem")
    server = ThreadingHTTPServer(("", int(os.environ["PORT"])), Webhook)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
