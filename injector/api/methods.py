"""The methods of `mesh.proto` by their full gRPC names: what a client calls and a generic handler serves."""

from typing import Final

IDENTITY: Final = "injector.mesh.v1.Identity"
DISCOVERY: Final = "injector.mesh.v1.Discovery"
FLEET: Final = "injector.mesh.v1.Fleet"

CERTIFY: Final = f"/{IDENTITY}/Certify"
WATCH: Final = f"/{DISCOVERY}/Watch"
REPORT: Final = f"/{FLEET}/Report"
