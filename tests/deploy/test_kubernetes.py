"""The manifests: valid for Kubernetes, and at one with one another and with us."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from majordomo.config import Config, parse
from majordomo.contract import SERVICES
from majordomo.media.images import AT_ONCE, MOST_MEMORY
from majordomo.rpc.server import FAREWELL
from majordomo.telemetry.setup import SHUTDOWN_PATIENCE

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((HERE / "kustomization.yaml").read_text())
FILES = sorted(path for path in HERE.glob("*.yaml") if path.stem != "kustomization")
VERSIONS = ("1.27", kubernetes_validate.latest_version())
"""The first Kubernetes whose gRPC probes are stable, and the newest that is known."""


def manifest(name: str) -> Any:
    return yaml.safe_load((HERE / f"{name}.yaml").read_text())


DEPLOYMENT = manifest("deployment")["spec"]
POD = DEPLOYMENT["template"]["spec"]
[CONTAINER] = POD["containers"]
LABELS = DEPLOYMENT["template"]["metadata"]["labels"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """What the server makes of the ConfigMap, with the example's keys mounted."""
    [mounted] = [m for m in CONTAINER["volumeMounts"] if m["name"] == "keys"]
    for name, value in manifest("secret.example")["stringData"].items():
        (tmp_path / name).write_text(value)
    text = manifest("configmap")["data"]["config.toml"]
    image = re.findall(r"(MAJORDOMO_\w+)=(\S+)", (ROOT / "Dockerfile").read_text())
    return parse(
        text.replace(f"file:{mounted['mountPath']}", f"file:{tmp_path}"), dict(image)
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_schema(path: Path, version: str) -> None:
    """Each manifest has the fields that Kubernetes knows, and no other."""
    validated = kubernetes_validate.validate(manifest(path.stem), version, strict=True)

    assert version.startswith(validated)


def test_schema_is_strict() -> None:
    """A field that there is none of is found."""
    service = manifest("service")
    service["spec"]["clusterIp"] = service["spec"].pop("clusterIP")

    with pytest.raises(kubernetes_validate.ValidationError, match="clusterIp"):
        kubernetes_validate.validate(service, VERSIONS[-1], strict=True)


def test_kustomization() -> None:
    """It applies everything but the example of the keys, and names our image."""
    expected = {path.name for path in FILES} - {"secret.example.yaml"}

    assert expected == set(KUSTOMIZATION["resources"])
    assert [CONTAINER["image"]] == [image["name"] for image in KUSTOMIZATION["images"]]


def test_configuration(config: Config) -> None:
    """The server takes it, and answers by it with more than one target."""
    assert 2 == len(config.tiers[config.server.default_chain].split(","))


def test_configuration_is_where_the_command_looks() -> None:
    """In a directory that the ConfigMap is mounted as, so that changes arrive."""
    [mount] = [m for m in CONTAINER["volumeMounts"] if m["name"] == "config"]
    file = CONTAINER["args"][CONTAINER["args"].index("--config") + 1]

    assert f"{mount['mountPath']}/config.toml" == file
    assert "subPath" not in mount
    assert ["config.toml"] == [*manifest("configmap")["data"]]


def test_grace(config: Config) -> None:
    """A pod is killed only after the longest drain is over, spans sent."""
    drain = config.server.drain_delay + FAREWELL + config.server.drain_grace

    assert POD["terminationGracePeriodSeconds"] > drain + SHUTDOWN_PATIENCE
    # As long as it takes until nobody sends calls to a pod that goes.
    assert config.server.drain_delay >= 5


def probes() -> Iterator[tuple[str, Any]]:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield name, CONTAINER[name]["grpc"]


def test_ports(config: Config) -> None:
    """Server, container, probes, Service and NetworkPolicy agree on both ports."""
    listen, page = config.server.listen, config.server.metrics_listen
    assert page is not None
    ports = {"grpc": listen, "metrics": page}
    expected = {name: int(it.rpartition(":")[2]) for name, it in ports.items()}
    served = manifest("service")["spec"]["ports"]
    ingress = manifest("networkpolicy")["spec"]["ingress"]

    assert expected == {it["name"]: it["containerPort"] for it in CONTAINER["ports"]}
    assert expected == {it["targetPort"]: it["port"] for it in served}
    assert [*expected.values()] == [p["port"] for it in ingress for p in it["ports"]]
    assert {expected["grpc"]} == {probe["port"] for _, probe in probes()}


def test_metrics_are_scraped(config: Config) -> None:
    """By the name of the Service and the port of the page."""
    example = HERE.parent / "prometheus" / "prometheus.yml"
    [job] = yaml.safe_load(example.read_text())["scrape_configs"]
    [found] = job["dns_sd_configs"]

    assert [manifest("service")["metadata"]["name"]] == found["names"]
    assert f"0.0.0.0:{found['port']}" == config.server.metrics_listen


def test_probes() -> None:
    """Readiness asks for the service that we serve, liveness for the process."""
    assert {
        "startupProbe": "",
        "livenessProbe": "",
        "readinessProbe": SERVICES[0],
    } == {name: probe["service"] for name, probe in probes()}


def test_selectors() -> None:
    """All that picks pods picks ours."""
    selectors = [
        DEPLOYMENT["selector"]["matchLabels"],
        manifest("service")["spec"]["selector"],
        manifest("networkpolicy")["spec"]["podSelector"]["matchLabels"],
        manifest("poddisruptionbudget")["spec"]["selector"]["matchLabels"],
        *(
            each["labelSelector"]["matchLabels"]
            for each in POD["topologySpreadConstraints"]
        ),
    ]

    for selector in selectors:
        assert selector
        assert selector.items() <= LABELS.items()


def test_names() -> None:
    """What the pod refers to is there."""
    volumes = {volume["name"]: volume for volume in POD["volumes"]}

    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == set(volumes)
    assert (
        manifest("configmap")["metadata"]["name"]
        == volumes["config"]["configMap"]["name"]
    )
    assert (
        manifest("secret.example")["metadata"]["name"]
        == volumes["keys"]["secret"]["secretName"]
    )
    assert manifest("serviceaccount")["metadata"]["name"] == POD["serviceAccountName"]


def test_service_is_headless() -> None:
    """A record a pod, or gRPC's one connection would bind a client to one pod."""
    assert "None" == manifest("service")["spec"]["clusterIP"]


def test_a_pod_may_go() -> None:
    """The disruption budget lets a node be drained, and the Deployment go on."""
    assert (
        DEPLOYMENT["replicas"]
        > manifest("poddisruptionbudget")["spec"]["maxUnavailable"]
    )


def test_user() -> None:
    """The user of the image, who may do nothing but serve."""
    [user] = re.findall(
        r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    pod = POD["securityContext"]

    assert user == (str(pod["runAsUser"]), str(pod["runAsGroup"]))
    assert pod["runAsNonRoot"]
    assert {"type": "RuntimeDefault"} == pod["seccompProfile"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == CONTAINER["securityContext"]
    assert not POD["automountServiceAccountToken"]
    assert not manifest("serviceaccount")["automountServiceAccountToken"]


def test_keys_are_no_keys() -> None:
    """The example holds nothing that could be one."""
    assert {"REPLACE-ME"} == set(manifest("secret.example")["stringData"].values())


def test_the_memory_is_enough_for_the_budget(config: Config) -> None:
    """The server's bound and its images' processes, and no more than a tenth above."""
    limit = re.fullmatch(r"(\d+)Mi", CONTAINER["resources"]["limits"]["memory"])
    assert limit is not None
    images = AT_ONCE * MOST_MEMORY
    bound = 120_000_000 + 2 * config.server.memory_budget + images

    assert bound <= int(limit[1]) << 20 <= bound * 1.1
