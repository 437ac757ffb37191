"""`injector inject` and `uninject`, from arguments to output and exit code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from injector.cli.documents.read import read_documents
from injector.inject.presence import proxy_container
from injector.kube.errors import Forbidden, Unreachable
from injector.kube.resources import CONFIG_MAPS, NAMESPACES
from tests.cli.conftest import FakeKube, Run

POD = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {containers: [{name: c, image: x}]}\n"
CONFIG = b"# keep me\nkind: ConfigMap\napiVersion: v1\ndata: {on: 'x'}\n"


def documents(text: str) -> list[Any]:
    found, faults = read_documents(text.encode(), "out")
    assert not faults
    return [document.value for document in found]


def test_yaml_out_keeps_order_and_other_documents(run: Run) -> None:
    result = run("inject", "-", stdin=CONFIG + b"---\n" + POD + b"---\n" + CONFIG)
    assert result.code == 0
    assert result.out.startswith(CONFIG.decode() + "---\n")
    assert result.out.endswith("---\n" + CONFIG.decode())
    config, pod, _ = documents(result.out)
    assert config["data"] == {"true": "x"}, "as kubectl reads it, whatever stands in the text"
    assert proxy_container(pod) is not None
    assert result.err == "✓ Pod shop/a: injected\n"


def test_json_and_patch_out(run: Run) -> None:
    as_json = run("inject", "-o", "json", "-q", "-", stdin=CONFIG + b"---\n" + POD)
    config, pod = documents(as_json.out)
    assert config["kind"] == "ConfigMap"
    assert proxy_container(pod) is not None
    assert as_json.err == ""
    (patch,) = json.loads(run("inject", "-o", "patch", "-", stdin=POD).out)
    assert (patch["kind"], patch["namespace"], patch["name"]) == ("Pod", "shop", "a")
    assert {operation["op"] for operation in patch["operations"]} == {"add"}


def test_dry_run_shows_a_diff_the_rules_and_what_bypasses(run: Run) -> None:
    result = run("inject", "--dry-run", "--namespace-annotation", "skip-outbound-ports=25", "-", stdin=POD)
    assert result.code == 0
    assert "+  initContainers:" in result.out
    assert "go to its proxy (port 4143)" in result.out
    assert "What bypasses the mesh" in result.out
    assert "set by the namespace" in result.out
    assert not result.out.startswith("apiVersion")


def test_a_skipped_pod_says_why_and_stays(run: Run) -> None:
    text = POD.replace(b"spec: {", b"spec: {hostNetwork: true, ")
    result = run("inject", "-", stdin=text)
    assert result.out == text.decode()
    assert result.err.count("host-network") == 1, "said once"
    assert result.code == 0


def test_input_without_a_workload_passes_with_a_note(run: Run) -> None:
    result = run("inject", "-", stdin=CONFIG)
    assert (result.code, result.out) == (0, CONFIG.decode())
    assert result.err == "note: no workload here, so nothing changes\n"
    assert run("inject", "-q", "-", stdin=CONFIG).err == ""


def test_nothing_is_half_printed_when_anything_is_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_bytes(POD)
    (tmp_path / "bad.yaml").write_text("a: 1\na: 2\n")
    result = run("inject", str(tmp_path / "good.yaml"), str(tmp_path / "bad.yaml"), str(tmp_path / "none.yaml"))
    assert result.code == 1
    assert result.out == ""
    assert result.err.splitlines() == [
        f"error: {tmp_path}/bad.yaml:2: the key 'a' stands here again (first in line 1)",
        f"error: {tmp_path}/none.yaml: No such file or directory",
    ]


def test_a_refused_pod_ends_with_1_and_prints_only_why(run: Run) -> None:
    result = run(
        "inject", "-", stdin=POD + b"---\n" + POD.replace(b"image: x", b"image: x, ports: [{containerPort: 4143}]")
    )
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("error: standard input:6: Pod shop/a would be refused (port-collision): ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dry-run", "-o", "json"], "--dry-run and --output json: expected one of them"),
        (["--live", "--installation", "pyproject.toml"], "--live and --installation: expected one of them"),
        (["--namespace-annotation", "nonsense"], "--namespace-annotation: expected key=value, got 'nonsense'"),
    ],
)
def test_contradictions_are_usage_errors(run: Run, arguments: list[str], said: str) -> None:
    result = run("inject", *arguments, "-", stdin=POD)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_unknown_settings_are_noted(run: Run) -> None:
    result = run("inject", "--namespace-annotation", "log-levle=debug", "-", stdin=POD)
    assert "did you mean injector.mesh/log-level?" in result.err


@pytest.mark.parametrize("form", ["settings", "manifests"])
def test_the_installation_s_settings_from_a_file(run: Run, tmp_path: Path, form: str) -> None:
    path = tmp_path / "installation.yaml"
    if form == "settings":
        path.write_text("proxyImage: example.com/proxy:9\nproxyUid: 77\n")
    else:
        path.write_text(run("install", "--registry", "example.com", "--tag", "9", "--proxy-uid", "77").out)
    (pod,) = documents(run("inject", "--installation", str(path), "-", stdin=POD).out)
    proxy = proxy_container(pod)
    assert proxy is not None
    assert proxy["image"] == "example.com/proxy:9"
    assert proxy["securityContext"]["runAsUser"] == 77


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("proxyImage: 3\nnope: 1\n", ["installation.proxyImage", "installation.nope"]),
        ("kind: ConfigMap\nmetadata: {name: x}\n", ["expected installation.yaml"]),
        ("a: [", ["installation.yaml:"]),
    ],
)
def test_a_bad_installation_says_all_that_is_wrong(run: Run, tmp_path: Path, text: str, said: list[str]) -> None:
    path = tmp_path / "installation.yaml"
    path.write_text(text)
    result = run("inject", "--installation", str(path), "-", stdin=POD)
    assert (result.code, result.out) == (1, "")
    for part in said:
        assert part in result.err


def namespace(annotations: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": annotations}}


def configmap(text: str) -> dict[str, Any]:
    metadata = {"name": "injector-installation", "namespace": "injector-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"installation.yaml": text}}


def test_live_goes_by_the_cluster(run: Run, kube: FakeKube) -> None:
    kube.put(CONFIG_MAPS, configmap("proxyImage: example.com/proxy:9\n"))
    kube.put(NAMESPACES, namespace({}))
    assert "(not-enabled)" in run("inject", "--live", "-", stdin=POD).err
    kube.put(NAMESPACES, namespace({"injector.mesh/inject": "enabled"}))
    (pod,) = documents(run("inject", "--live", "-", stdin=POD).out)
    assert proxy_container(pod)["image"] == "example.com/proxy:9"  # type: ignore[index]


def test_live_without_rights_or_installation_says_what_it_takes_instead(run: Run, kube: FakeKube) -> None:
    result = run("inject", "--live", "-", stdin=POD)
    assert "the installation's settings do not exist; this version's defaults are taken" in result.err
    assert "the cluster has no namespace shop" in result.err
    path = CONFIG_MAPS.path(namespace="injector-system", name="injector-installation")
    kube.refuse["GET", path] = Forbidden("no", status=403)
    assert "may not be read with your rights" in run("inject", "--live", "-", stdin=POD).err


def test_live_without_a_cluster_exits_3(run: Run, kube: FakeKube) -> None:
    path = CONFIG_MAPS.path(namespace="injector-system", name="injector-installation")
    kube.refuse["GET", path] = Unreachable("no answer from https://10.0.0.1")
    result = run("inject", "--live", "-", stdin=POD)
    assert (result.code, result.out, result.err) == (3, "", "error: no answer from https://10.0.0.1\n")


def test_uninject_gives_back_what_inject_took(run: Run) -> None:
    injected = run("inject", "-o", "json", "-", stdin=POD).out
    result = run("uninject", "-", stdin=injected.encode())
    assert documents(result.out) == documents(POD.decode())
    assert result.err == "✓ Pod shop/a: taken out of the mesh\n"
    assert "nothing of the mesh" in run("uninject", "-", stdin=POD).err
    assert "-  - name: injector-init" in run("uninject", "--dry-run", "-", stdin=injected.encode()).out


def test_inject_starts_without_what_only_other_commands_need() -> None:
    """Start-up stays under 300 ms only while none of these, each 100 ms to 1 s of import, is loaded."""
    script = (
        "import sys\nfrom injector.cli.main import main\n"
        "sys.argv = ['injector', 'inject', '-q', '-']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'kubernetes', 'aiohttp', 'pydantic', 'fastapi', 'httpx', 'cryptography', 'uvicorn', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=POD, capture_output=True, check=True)
    assert done.stderr.decode().strip() == "[]"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    script = "from injector.cli.main import main; import sys; sys.argv = ['injector', 'install']; main()"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.wait(timeout=30)
    assert b"Traceback" not in said
    assert b"Exception" not in said
