"""Somebody who wants to be another, or anybody at all. Runs in a pod that has Python and our packages (`python -c`).

certify    asks the issuer for a certificate: {"csr": BASE64, "token": TEXT, "roots": PEM, "trust_domain": TEXT}
           and prints                         {"code": "OK" or a gRPC status, "message": TEXT, "chain": [BASE64]}
connect    speaks to a pod's proxy as a mesh client does: {"host", "port", "application_port", "request": TEXT,
                                 "chain": PEM or "", "key": PEM or "", "newest": "TLSv1_2" or "TLSv1_3"}
           and prints            {"established": BOOL, "answer": TEXT, "error": TEXT}

What to do stands in one line of JSON on standard input.
"""

import base64
import json
import socket
import ssl
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 15.0
ALPN = "injector/1"
PREFACE = b"INJ\x01"
"""Then the protocol (0: bytes), the length of options (0) and the application's port."""
ISSUER = "injector-identity.injector-system"

Asked = dict[str, Any]


def certify(asked: Asked) -> dict[str, object]:
    import grpc  # here, for connecting needs nothing but the standard library

    from injector.api import mesh_pb2
    from injector.api.methods import CERTIFY

    credentials = grpc.ssl_channel_credentials(asked["roots"].encode())
    override = ("grpc.ssl_target_name_override", f"{ISSUER}.id.{asked['trust_domain']}")
    with grpc.secure_channel(f"{ISSUER}.svc:8443", credentials, [override]) as channel:
        call = channel.unary_unary(
            CERTIFY,
            request_serializer=mesh_pb2.CertifyRequest.SerializeToString,
            response_deserializer=mesh_pb2.CertifyResponse.FromString,
        )
        request = mesh_pb2.CertifyRequest(csr=base64.b64decode(asked["csr"]), token=asked["token"])
        try:
            answer = call(request, timeout=PATIENCE_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            return {"code": error.code().name, "message": error.details(), "chain": []}
    chain = [base64.b64encode(each).decode() for each in answer.chain]
    return {"code": "OK", "message": "", "chain": chain}


def connect(asked: Asked) -> dict[str, object]:
    """In TLS 1.3 a client has done its part before the server has judged it: what counts is whether an answer comes."""
    found = {"established": False, "answer": "", "error": ""}
    try:
        with (
            socket.create_connection((asked["host"], asked["port"]), timeout=PATIENCE_SECONDS) as plain,
            context(asked).wrap_socket(plain) as connection,
        ):
            found["established"] = True
            connection.sendall(PREFACE + struct.pack("!BBH", 0, 0, asked["application_port"]))
            connection.sendall(str(asked["request"]).encode())
            found["answer"] = connection.recv(1 << 16).decode(errors="replace")
    except OSError as error:  # ssl.SSLError is one
        found["error"] = str(error)
    return found


def context(asked: Asked) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion[str(asked["newest"])]
    made.set_alpn_protocols([ALPN])
    if asked["chain"]:
        with tempfile.TemporaryDirectory() as folder:
            chain, key = Path(folder) / "chain.pem", Path(folder) / "key.pem"
            chain.write_text(str(asked["chain"]))
            key.write_text(str(asked["key"]))
            made.load_cert_chain(chain, key)
    return made


if __name__ == "__main__":
    commands = {"certify": certify, "connect": connect}
    print(json.dumps(commands[sys.argv[1]](json.loads(sys.stdin.readline()))))
