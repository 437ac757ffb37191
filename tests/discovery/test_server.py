"""The stream as a proxy sees it, over real TLS: hello, answers, deltas, refusals, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.discovery import watch
from injector.discovery.fleet import SPARE_STREAMS, Proxy
from injector.discovery.following import MOST_DESTINATIONS, Parameters
from injector.discovery.model import Identity
from tests.discovery.certificates import Root, spiffe
from tests.discovery.conftest import ISSUER, OWN, address, subscribe, unsubscribe
from tests.discovery.objects import endpoint, endpoint_slice, namespace, pod, service
from tests.kube.fake import until

if TYPE_CHECKING:
    from tests.discovery.conftest import Served
    from tests.discovery.objects import Object

WEB = address("10.96.0.10", 80)
PODS = [pod(f"web-{letter}", ips=(f"10.244.0.{number}",)) for number, letter in enumerate("abcde", 5)]
ENTRIES = [endpoint(item["status"]["podIP"], pod=item["metadata"]["name"]) for item in PODS]


async def test_a_service_is_told_whole_then_by_what_changes(served: Served) -> None:
    served.put(service(), *PODS, endpoint_slice(*ENTRIES[:3]))
    async with served.proxy() as proxy:
        await proxy.send(subscribe(WEB))
        first = await proxy.destination()
        assert first.address == WEB
        assert first.endpoints.service == pb.ServicePort(namespace="shop", name="web")
        assert {one.address.ip[-1] for one in first.endpoints.endpoints} == {5, 6, 7}
        assert first.endpoints.endpoints[0].mesh == pb.Mesh(namespace="shop", service_account="web")
        served.put(endpoint_slice(*ENTRIES[1:4]))
        second = await proxy.destination()
        assert second.version > first.version
        assert second.delta.base_version == first.version
        assert [one.address.ip[-1] for one in second.delta.changed] == [8]
        assert [one.ip[-1] for one in second.delta.removed] == [5]


async def test_another_protocol_is_told_whole_to_all_that_follow(served: Served) -> None:
    def said(word: str, opaque: str | None = None) -> Object:
        return service(ports=[{"port": 80, "appProtocol": word}], opaque=opaque)

    served.put(said("http"), *PODS, endpoint_slice(*ENTRIES))
    async with served.proxy() as proxy, served.proxy("bank", "vault") as other:
        for follower in (proxy, other):
            await follower.send(subscribe(WEB))
            first = (await follower.destination()).endpoints
            assert (first.protocol, len(first.endpoints)) == (pb.HTTP, len(PODS))
        for change, expected in (
            (said("kubernetes.io/h2c"), pb.HTTP2),
            (namespace(opaque="80"), pb.OPAQUE),
            (said("kubernetes.io/h2c", opaque=""), pb.HTTP2),
            (said("unheard-of", opaque=""), pb.UNDECLARED),
            (said("http", opaque="80"), pb.OPAQUE),
        ):
            served.put(change)
            for follower in (proxy, other):
                whole = await follower.destination()
                assert whole.WhichOneof("state") == "endpoints", "a delta cannot say it"
                assert whole.endpoints.protocol == expected
                assert len(whole.endpoints.endpoints) == len(PODS)
        served.put(namespace(opaque="1-100"))  # the Service says it itself
        assert await proxy.silent()


async def test_an_endpoint_whose_workload_changes_is_told_in_a_delta(served: Served) -> None:
    served.put(service(), *PODS, endpoint_slice(*ENTRIES))
    async with served.proxy() as proxy:
        await proxy.send(subscribe(WEB))
        first = (await proxy.destination()).endpoints.endpoints
        assert {(one.workload.kind, one.workload.name) for one in first} == {("Pod", one.pod.name) for one in first}
        served.put(pod("web-a", owner=("ReplicaSet", "web-5d9c7"), template="5d9c7"))  # adopted
        [changed] = (await proxy.destination()).delta.changed
        assert changed.workload == pb.Workload(kind="Deployment", name="web")


async def test_parameters_come_first_and_again_when_they_change(served: Served) -> None:
    async with served.stream() as proxy:
        told = await proxy.hello()
        assert told == pb.Parameters(
            zone="zone-a", most_destinations=MOST_DESTINATIONS, issuer=ISSUER, renew_within_seconds=600
        )
        served.server.refresh_parameters()  # nothing has changed
        served.parameters[0] = Parameters("zone-b", b"", 600)
        served.server.refresh_parameters()
        assert (await proxy.receive()).parameters == pb.Parameters(zone="zone-b", most_destinations=MOST_DESTINATIONS)


async def test_who_has_not_said_hello_hears_of_changed_parameters_when_it_has(served: Served) -> None:
    async with served.stream() as proxy:
        await until(lambda: any(calls.watches for calls in served.server._server.calls))
        served.parameters[0] = Parameters("zone-b", b"", 600)
        served.server.refresh_parameters()
        assert (await proxy.hello()).zone == "zone-b"


async def test_an_address_of_nobody_is_not_ours_until_it_is_somebodys_and_forgotten_with_its_follower(
    served: Served,
) -> None:
    async with served.proxy() as proxy:
        there = address("10.244.0.5", 9999)
        await proxy.send(subscribe(there))
        assert (await proxy.destination()).WhichOneof("state") == "not_ours"
        served.put(PODS[0])
        told = await proxy.destination()
        assert told.endpoints.pod == pb.Pod(namespace="shop", name="web-a")
        assert len(served.board) == 1
        await proxy.send(unsubscribe(there))
        await until(lambda: len(served.board) == 0)


async def test_subscribing_twice_changes_nothing_and_anew_gets_a_snapshot(served: Served) -> None:
    served.put(service(), *PODS, endpoint_slice(*ENTRIES))
    async with served.proxy() as proxy:
        await proxy.send(subscribe(WEB, WEB))
        await proxy.send(subscribe(WEB))
        assert (await proxy.destination()).HasField("endpoints")
        await proxy.send(unsubscribe(WEB))
        await proxy.send(subscribe(WEB))
        assert (await proxy.destination()).HasField("endpoints"), "who asks again has lost what it knew"
        assert await proxy.silent()


async def test_nothing_is_answered_before_everything_was_read(served: Served) -> None:
    served.synced.clear()
    async with served.stream() as proxy:
        hello = asyncio.create_task(proxy.hello())
        await asyncio.sleep(0.2)
        assert not hello.done()
        served.synced.set()
        await hello


async def test_what_a_newer_proxy_says_is_ignored(served: Served) -> None:
    async with served.proxy() as proxy:
        unknown = pb.WatchRequest.FromString(b"\xfa\x01\x02\x08\x01")  # field 31, a message
        assert unknown.WhichOneof("message") is None
        await proxy.send(unknown)
        await proxy.send(subscribe(WEB))
        assert (await proxy.destination()).HasField("not_ours")


# Refusals.


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (subscribe(WEB), "no-hello"),
        (pb.WatchRequest(), "no-hello"),
        (pb.WatchRequest(hello=pb.Hello(namespace="shop", service_account="web", pod="p" * 300)), "malformed"),
        (
            pb.WatchRequest(
                hello=pb.Hello(namespace="shop", service_account="web", trust=pb.Trust(roots=[b"too short"]))
            ),
            "malformed",
        ),
    ],
)
async def test_a_wrong_first_message_is_invalid(served: Served, first: pb.WatchRequest, reason: str) -> None:
    async with served.stream() as proxy:
        await proxy.send(first)
        code, details = await proxy.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "expected" in details
    assert served.refusals() == {reason: 1}


@pytest.mark.parametrize(("namespace", "account"), [("bank", "web"), ("shop", "admin"), ("", "")])
async def test_a_hello_that_is_not_the_certificates_is_denied(served: Served, namespace: str, account: str) -> None:
    async with served.stream() as proxy:
        await proxy.send(pb.WatchRequest(hello=pb.Hello(namespace=namespace, service_account=account)))
        code, details = await proxy.end()
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "shop/web" in details
    assert served.refusals() == {"wrong-identity": 1}


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [spiffe("shop", "web", "elsewhere.example")],
        [spiffe("shop", "web"), spiffe("bank", "vault")],
        ["spiffe://cluster.local/ns/shop/sa/web/more"],
        ["https://cluster.local/ns/shop/sa/web"],
    ],
    ids=["none", "other domain", "two", "other path", "other scheme"],
)
async def test_a_certificate_that_names_nobody_of_this_mesh_is_denied(served: Served, uris: list[str]) -> None:
    async with served.stream(leaf=served.root.leaf(uris, ["web.shop.id.cluster.local"])) as proxy:
        code, _ = await proxy.end()
        assert code is grpc.StatusCode.PERMISSION_DENIED
    assert served.refusals() == {"no-identity": 1}


async def test_a_client_that_no_root_vouches_for_gets_no_connection(served: Served) -> None:
    expired = served.root.leaf([spiffe("shop", "web")], lifetime=timedelta(minutes=-1))
    for leaf in (None, Root().pod("shop", "web"), expired):
        async with served.channel(leaf) as channel:
            call: Any = channel.stream_stream(methods.WATCH)()
            with pytest.raises(aio.AioRpcError) as failed:
                await call.read()
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(served.fleet) == 0


@pytest.mark.parametrize(
    "request_",
    [
        subscribe(pb.Address(ip=b"\1\2\3", port=80)),
        subscribe(pb.Address(ip=b"\1\2\3\4", port=0)),
        subscribe(pb.Address(ip=b"\1\2\3\4", port=65536)),
        subscribe(*[WEB] * 1025),
        pb.WatchRequest(hello=pb.Hello(namespace="shop", service_account="web")),
        pb.WatchRequest(trust=pb.Trust(roots=[bytes(32)] * 17)),
        pb.WatchRequest(acknowledge=pb.Acknowledge(versions=[pb.Acknowledge.Version(version=1)])),
        pb.WatchRequest(acknowledge=pb.Acknowledge(versions=[pb.Acknowledge.Version(address=WEB, version=1)] * 1025)),
    ],
)
async def test_what_makes_no_sense_ends_the_stream(served: Served, request_: pb.WatchRequest) -> None:
    async with served.proxy() as proxy:
        await proxy.send(request_)
        code, details = await proxy.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "expected" in details
    assert served.refusals() == {"malformed": 1}


async def test_a_message_that_is_no_message_ends_the_stream(served: Served) -> None:
    async with served.proxy() as proxy, served.channel(served.root.pod("shop", "web")) as channel:
        call: Any = channel.stream_stream(methods.WATCH)()
        await call.write(b"\xff\xff\xff")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        await proxy.send(subscribe(WEB))
        assert (await proxy.destination()).HasField("not_ours"), "the others go on"


async def test_a_message_above_the_limit_ends_the_stream(served: Served) -> None:
    async with served.proxy() as proxy:
        await proxy.send(pb.WatchRequest(subscribe=pb.Subscribe(destinations=[WEB] * 8000)))
        assert (await proxy.end())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_above_the_cap_a_destination_is_refused_and_there_is_room_again_after_others_are_dropped(
    served: Served,
) -> None:
    first = [address(f"10.0.{index // 256}.{index % 256}", 80) for index in range(MOST_DESTINATIONS)]
    async with served.proxy() as proxy:
        await proxy.send(subscribe(*first))
        for _ in first:
            assert (await proxy.destination()).HasField("not_ours")
        await proxy.send(subscribe(WEB))
        assert (await proxy.destination()).HasField("refused")
        await proxy.send(unsubscribe(first[0]))
        await proxy.send(subscribe(WEB))
        assert (await proxy.destination()).HasField("not_ours")
    assert served.refusals() == {"too-many-destinations": 1}


def fill(served: Served, namespace: str, streams: int) -> None:
    """So many streams of the namespace are open, as far as the fleet knows."""
    for index in range(streams):
        hello = pb.Hello(pod_uid=f"uid-{index}")
        served.fleet.join(Proxy(Identity(namespace, "web"), hello, leave=lambda: None))


async def test_a_namespace_has_streams_for_its_pods_and_a_few_to_spare(served: Served) -> None:
    fill(served, "shop", SPARE_STREAMS)
    async with served.stream() as proxy:
        await proxy.send(pb.WatchRequest(hello=pb.Hello(namespace="shop", service_account="web")))
        code, details = await proxy.end()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "shop" in details
    async with served.proxy("bank", "vault"):
        pass  # others have their own
    served.put(pod())
    async with served.proxy():
        pass  # one meshed pod more, two streams more
    assert served.refusals() == {"too-many-streams": 1}


async def test_a_pod_has_one_stream_and_the_newer_one_stays(served: Served) -> None:
    async with served.proxy() as old, served.proxy() as new, served.proxy(pod_uid="another"):
        assert (await old.end())[0] is grpc.StatusCode.ABORTED
        assert len(served.fleet) == 2
        await new.send(subscribe(WEB))
        assert (await new.destination()).HasField("not_ours")
    assert served.refusals() == {"replaced": 1}


# Readers that are slow, clients that are many.


async def test_a_reader_that_stands_still_costs_a_few_messages_and_then_gets_the_newest(served: Served) -> None:
    many = [endpoint(f"10.1.{index // 250}.{index % 250}") for index in range(500)]
    served.put(service(), endpoint_slice(*many))
    async with served.proxy() as proxy:
        await proxy.send(subscribe(WEB))
        await proxy.destination()
        for turn in range(200):
            served.put(endpoint_slice(*many, ports=[{"name": "", "port": 1000 + turn}]))
            await asyncio.sleep(0.002)
        sent = served.registry.get_sample_value("injector_discovery_messages_total", {"form": "snapshot"})
        assert sent is not None
        assert sent < 20, "flow control holds back what nobody reads"
        ports = [0]
        while ports[-1] != 1199:
            ports.append((await proxy.destination()).endpoints.endpoints[0].address.port)
        assert len(ports) < 25, "what was overtaken is never sent"


async def test_who_asks_without_reading_answers_is_no_longer_read_from(served: Served) -> None:
    async with served.proxy() as proxy:
        asked = 0
        with contextlib.suppress(TimeoutError):
            while asked < 200_000:
                here = [address(f"10.{asked >> 16 & 255}.{asked >> 8 & 255}.{index}", 80) for index in range(256)]
                asked += 256
                async with asyncio.timeout(0.5):
                    await proxy.send(subscribe(*here))
        assert asked < 20_000
        assert len(served.board) <= MOST_DESTINATIONS


async def test_a_scan_does_not_hold_up_another_namespace(served: Served) -> None:
    served.put(*(pod(f"scan-{index}", "scan", ips=()) for index in range(10)))
    there = [address(f"10.1.{index // 250}.{index % 250}", 80) for index in range(1000)]
    async with contextlib.AsyncExitStack() as stack:
        scanners = [
            await stack.enter_async_context(served.proxy("scan", "web", pod_uid=f"uid-{index}")) for index in range(8)
        ]
        honest = await stack.enter_async_context(served.proxy())
        for scanner in scanners:
            await scanner.send(subscribe(*there))
        await honest.send(subscribe(WEB))
        await honest.destination()
        sent = served.registry.get_sample_value("injector_discovery_messages_total", {"form": "snapshot"})
        assert sent is not None
        assert sent < 4000, "half of the scan's 8,000 answers, most of which would have come before"


async def test_an_acknowledged_change_is_measured_and_a_first_answer_is_not(served: Served) -> None:
    def measured() -> float | None:
        return served.registry.get_sample_value("injector_discovery_update_seconds_count")

    served.put(service(), *PODS, endpoint_slice(*ENTRIES))
    async with served.proxy() as proxy:
        await proxy.send(subscribe(WEB))
        for expected in (0, 1):
            told = await proxy.destination()
            version = pb.Acknowledge.Version(address=WEB, version=told.version)
            await proxy.send(pb.WatchRequest(acknowledge=pb.Acknowledge(versions=[version])))
            await proxy.send(subscribe(address("10.0.0.1", 80 + expected)))
            await proxy.destination()  # so the acknowledgement was read
            assert measured() == expected
            served.put(endpoint_slice(*ENTRIES[: 2 + expected]))


# The end.


async def test_nothing_is_left_of_a_stream_that_ends(served: Served) -> None:
    served.put(service(), *PODS, endpoint_slice(*ENTRIES))
    for end in ("cancel", "half-close"):
        async with served.proxy() as proxy:
            await proxy.send(subscribe(WEB, address("10.0.0.1", 80)))
            await proxy.destination()
            assert (len(served.board), len(served.fleet)) == (2, 1)
            if end == "half-close":
                await proxy.call.done_writing()
                assert (await proxy.end())[0] is grpc.StatusCode.OK
        await until(lambda: (len(served.board), len(served.fleet)) == (0, 0))


async def test_a_stream_leaves_no_cycles_behind(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    create = watch.Watch.__init__

    def created(self: watch.Watch, *arguments: Any) -> None:
        alive.add(self)
        create(self, *arguments)

    monkeypatch.setattr(watch.Watch, "__init__", created)
    gc.disable()
    try:
        for last in ("nothing", "half-close", "nonsense"):
            async with served.proxy() as proxy:
                await proxy.send(subscribe(WEB))
                await proxy.destination()
                if last == "half-close":
                    await proxy.call.done_writing()
                elif last == "nonsense":
                    await proxy.send(subscribe(pb.Address()))
        await until(lambda: not alive)
    finally:
        gc.enable()


async def test_draining_ends_every_stream_well_and_one_after_the_other(served: Served) -> None:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(served.proxy(pod_uid=f"uid-{index}")) for index in range(12)]
        began = loop.time()

        async def ended(proxy: Any) -> float:
            assert (await proxy.end())[0] is grpc.StatusCode.OK
            return loop.time() - began

        draining = asyncio.create_task(served.server.drain(1.0))
        times = sorted(await asyncio.gather(*map(ended, proxies)))
        await draining
        assert times[-1] < 4
        assert times[-1] - times[0] > 0.2
        async with served.stream() as late:
            with pytest.raises(aio.AioRpcError):
                await late.call.read()


async def test_the_controller_and_nobody_else_hears_of_the_fleet(served: Served) -> None:
    trust = pb.Trust(roots=[bytes(32)], issuer=ISSUER, not_after=1_800_000_000)
    later = pb.Trust(roots=[bytes(32), ISSUER], issuer=ISSUER, not_after=1_900_000_000)
    async with served.proxy(proxy_version="0.1.0", trust=trust) as proxy, served.proxy("bank", "vault"):
        controller = served.root.pod("injector-system", "injector-controller")
        told = {one.pod: one for one in await served.report(controller)}
        assert told["web-a"] == pb.ReportResponse.Proxy(
            namespace="shop", pod="web-a", pod_uid="uid-web-a", proxy_version="0.1.0", trust=trust
        )
        assert next(iter(told)) == OWN.pod
        assert set(told) == {OWN.pod, "web-a", "vault-a"}
        await proxy.send(pb.WatchRequest(trust=later))
        async with asyncio.timeout(5):
            while later not in [one.trust for one in await served.report(controller)]:
                pass
        for namespace, account in (("shop", "injector-controller"), ("injector-system", "web")):
            with pytest.raises(aio.AioRpcError) as failed:
                await served.report(served.root.pod(namespace, account))
            assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert served.refusals() == {"not-the-controller": 2}


async def test_a_large_fleet_is_reported_in_parts(served: Served) -> None:
    fill(served, "shop", 1201)
    assert len(await served.report(served.root.pod("injector-system", "injector-controller"))) == 1202
    sizes = [len(pb.ReportResponse.FromString(part).proxies) for part in served.fleet.report()]
    assert sizes == [1, 500, 500, 201]
