"""Listens on every interface of a network namespace but its loopback. Runs there as a process of its own (`python3
sniffer.py`): one file, with the standard library alone.

It says `listening` when it does, and takes in all TCP segments until its standard input gives one line: the words to
look for, a JSON list. Its answer is one line of JSON: `{"segments": N, "dropped": N, "found": {WORD: [FLOW, …]},
"flows": {FLOW: BYTES}}`, a FLOW being "FROM > TO", addresses with ports.
"""

import json
import select
import socket
import struct
import sys

ETH_P_ALL = 0x0003
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER_BYTES = 64 << 20
"""What two busy cores may leave unread for a moment; the kernel counts what it had to drop."""
SNAPSHOT_BYTES = 1 << 17
"""Above the 64 KiB of a packet that the kernel has not cut into segments yet."""
LOOPBACK = "lo"
"""A node's own: the container runtime hands what `kubectl exec` reads to the kubelet there. It carries no pod's."""
TCP = 6
IPV6_HEADER_BYTES = 40
SEQUENCES = 1 << 32

Flow = tuple[str, int, str, int]


def segment(packet: bytes, ethertype: int) -> tuple[Flow, int, bytes] | None:
    """The flow, the sequence number and the payload of a TCP segment; None for anything else (RFC 791, 8200, 9293)."""
    if ethertype == ETH_P_IP and len(packet) >= 20 and packet[9] == TCP:
        start, family = (packet[0] & 0x0F) * 4, socket.AF_INET
        source, destination = packet[12:16], packet[16:20]
        end = struct.unpack_from("!H", packet, 2)[0]
    elif ethertype == ETH_P_IPV6 and len(packet) >= IPV6_HEADER_BYTES and packet[6] == TCP:
        start, family = IPV6_HEADER_BYTES, socket.AF_INET6
        source, destination = packet[8:24], packet[24:40]
        end = IPV6_HEADER_BYTES + struct.unpack_from("!H", packet, 4)[0]
    else:
        return None
    from_port, to_port, sequence = struct.unpack_from("!HHI", packet, start)
    payload = packet[start + (packet[start + 12] >> 4) * 4 : end]
    flow = (socket.inet_ntop(family, source), from_port, socket.inet_ntop(family, destination), to_port)
    return flow, sequence, payload


class Streams:
    """The bytes of every flow in their order, however often each was seen on its way."""

    def __init__(self) -> None:
        self.count = 0
        self._flows: dict[Flow, dict[int, bytes]] = {}

    def add(self, flow: Flow, sequence: int, payload: bytes) -> None:
        if not payload:
            return
        self.count += 1
        segments = self._flows.setdefault(flow, {})
        if len(payload) > len(segments.get(sequence, b"")):
            segments[sequence] = payload

    def texts(self) -> dict[Flow, bytes]:
        return {flow: joined(segments) for flow, segments in self._flows.items()}


def joined(segments: dict[int, bytes]) -> bytes:
    """Segments in the order of their numbers, overlaps cut; a gap is closed up, for its bytes were never seen."""
    first = next(iter(segments))

    def distance(sequence: int) -> int:
        """From the one seen first, which another may have overtaken; numbers start over at 2^32."""
        return (sequence - first + SEQUENCES // 2) % SEQUENCES - SEQUENCES // 2

    text, end = bytearray(), None
    for sequence in sorted(segments, key=distance):
        start, payload = distance(sequence), segments[sequence]
        known = 0 if end is None else max(0, end - start)
        text += payload[known:]
        end = max(start + len(payload), end if end is not None else start)
    return bytes(text)


def listen() -> socket.socket:
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    sniffer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    return sniffer


def take_in(sniffer: socket.socket) -> Streams:
    """All that passes until standard input has something to say."""
    streams = Streams()
    while True:
        readable = select.select([sniffer, sys.stdin], [], [])[0]
        if sniffer in readable:
            packet, (interface, ethertype, *_) = sniffer.recvfrom(SNAPSHOT_BYTES)
            found = segment(packet, ethertype) if interface != LOOPBACK else None
            if found is not None:
                streams.add(*found)
        elif sys.stdin in readable:  # only when nothing is left to read
            return streams


def name(flow: Flow) -> str:
    ends = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in (flow[:2], flow[2:]))
    return " > ".join(ends)


def main() -> None:
    sniffer = listen()
    print("listening", flush=True)
    streams = take_in(sniffer)
    _, dropped = struct.unpack("II", sniffer.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    words, texts = json.loads(sys.stdin.readline()), streams.texts()
    found = {word: [name(flow) for flow, text in texts.items() if word.encode() in text] for word in words}
    flows = {name(flow): len(text) for flow, text in texts.items()}
    print(json.dumps({"segments": streams.count, "dropped": dropped, "found": found, "flows": flows}), flush=True)


if __name__ == "__main__":
    main()
