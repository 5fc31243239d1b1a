"""The NetworkPolicies of the Helm chart allow the flows that the programs need, and no others."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from chart_rendering import RELEASE, Rendering, fits, merged, render, values_of

INSTANCE = {"app.kubernetes.io/name": "afterwrite", "app.kubernetes.io/instance": RELEASE}
OURS = ("api", "worker", "consumer", "notification", "migration", "test", "postgresql", "rabbitmq", "redis")
# The words in the label `component` of what the Airflow chart makes; `worker` are the pods of tasks.
AIRFLOW = (
    "api-server",
    "scheduler",
    "dag-processor",
    "worker",
    "airflow-cleanup-pods",
    "run-airflow-migrations",
    "create-user-job",
)
PODS: dict[str, dict[str, str]] = {name: INSTANCE | {"app.kubernetes.io/component": name} for name in OURS}
PODS |= {f"airflow {name}": {"tier": "airflow", "release": RELEASE, "component": name} for name in AIRFLOW}
PODS["stranger"] = {"app": "other"}
NOT_POLICED = {"stranger"}
PORTS = {"api": 5000, "postgresql": 5432, "rabbitmq": 5672, "redis": 6379, "airflow api-server": 8080}
PORTS |= dict.fromkeys(("worker", "consumer", "notification"), 9100)

STORES = {"postgresql", "rabbitmq", "redis"}
FLOWS = {
    "api": STORES | {"airflow api-server"},
    "worker": STORES | {"airflow api-server"},
    "consumer": {"rabbitmq", "airflow api-server"},
    "notification": STORES,
    "migration": {"postgresql"},
    "test": {"api"},
    "airflow api-server": {"postgresql"},
    "airflow scheduler": {"postgresql", "airflow api-server"},
    "airflow dag-processor": {"postgresql", "airflow api-server"},
    "airflow worker": {"postgresql", "rabbitmq", "airflow api-server"},
    "airflow airflow-cleanup-pods": {"postgresql"},
    "airflow run-airflow-migrations": {"postgresql"},
    "airflow create-user-job": {"postgresql"},
}
PUBLIC, PRIVATE = "93.184.216.34", "10.1.2.3"
PUBLIC6, PRIVATE6 = "2606:2800:220:1::1", "fd00::1"
INGRESS = {"kubernetes.io/metadata.name": "ingress-nginx"}


def rules(rendering: Rendering, pod: str, direction: str) -> Iterator[Mapping[str, Any]] | None:
    """What is allowed to a pod in a direction; None where no policy says anything, and so all is."""
    kind = direction.capitalize()
    policies = [
        item["spec"]
        for item in rendering.of("NetworkPolicy")
        if kind in item["spec"]["policyTypes"] and fits(item["spec"]["podSelector"], PODS[pod])
    ]
    return (rule for item in policies for rule in item.get(direction, [])) if policies else None


def of_port(rule: Mapping[str, Any], port: int) -> bool:
    return "ports" not in rule or port in [item["port"] for item in rule["ports"]]


def allows_pod(rendering: Rendering, pod: str, direction: str, other: str, port: int) -> bool:
    found = rules(rendering, pod, direction)
    side = "to" if direction == "egress" else "from"
    return found is None or any(
        of_port(rule, port)
        and (
            side not in rule
            or any("podSelector" in peer and fits(peer["podSelector"], PODS[other]) for peer in rule[side])
        )
        for rule in found
    )


def allows_address(rendering: Rendering, pod: str, address: str, port: int) -> bool:
    where = ipaddress.ip_address(address)
    found = rules(rendering, pod, "egress")
    assert found is not None, pod
    return any(
        of_port(rule, port)
        and any(
            where in ipaddress.ip_network(peer["ipBlock"]["cidr"])
            and not any(where in ipaddress.ip_network(out) for out in peer["ipBlock"].get("except", []))
            for peer in rule.get("to", [])
            if "ipBlock" in peer
        )
        for rule in found
    )


def allows_namespace(rendering: Rendering, pod: str, labels: Mapping[str, str], port: int) -> bool:
    found = rules(rendering, pod, "ingress")
    assert found is not None, pod
    return any(
        of_port(rule, port)
        and any("namespaceSelector" in peer and fits(peer["namespaceSelector"], labels) for peer in rule["from"])
        for rule in found
    )


def flows(rendering: Rendering) -> set[tuple[str, str]]:
    """Who reaches the port of whom: both sides must allow it."""
    return {
        (pod, other)
        for pod in PODS
        for other, port in PORTS.items()
        if pod != other
        and allows_pod(rendering, pod, "egress", other, port)
        and allows_pod(rendering, other, "ingress", pod, port)
    }


def test_exactly_the_flows_that_are_needed_are_allowed() -> None:
    assert flows(render()) == {(pod, other) for pod, others in FLOWS.items() for other in others}


def test_every_pod_of_the_chart_is_under_the_policies() -> None:
    rendering = render()
    for name, pod in rendering.pods().items():
        assert name in PODS, name
        assert fits({"matchLabels": PODS[name]}, pod["metadata"]["labels"])
    for name in set(PODS) - NOT_POLICED:
        assert rules(rendering, name, "egress") is not None, name
        assert rules(rendering, name, "ingress") is not None, name


def test_without_airflow_here_the_flows_are_those_to_the_stores() -> None:
    external = {"airflow": {"enabled": False}, "externalAirflow": values_of("external")["externalAirflow"]}
    found = {flow for flow in flows(render(external)) if not flow[0].startswith("airflow ")}
    wanted = {
        (pod, other)
        for pod, others in FLOWS.items()
        for other in others
        if not pod.startswith("airflow ") and other != "airflow api-server"
    }
    # Nobody polices what is not there.
    assert found - {flow for flow in found if flow[1] == "airflow api-server"} == wanted
    assert not [flow for flow in found if flow[1] == "airflow api-server" and flow[0] != "stranger"]


@pytest.mark.parametrize("pod", sorted(set(PODS) - NOT_POLICED))
def test_who_calls_others_back_reaches_the_internet_and_no_private_address(pod: str) -> None:
    rendering = render()
    outside = pod in {"worker", "notification"}
    for public, private in ((PUBLIC, PRIVATE), (PUBLIC6, PRIVATE6)):
        for port in (80, 8443):
            assert allows_address(rendering, pod, public, port) == outside
        assert not allows_address(rendering, pod, private, 80)
    assert not allows_address(rendering, pod, "169.254.169.254", 80)  # a cloud's metadata


@pytest.mark.parametrize("pod", sorted(set(PODS) - NOT_POLICED))
def test_only_who_starts_pods_or_reads_their_logs_reaches_kubernetes(pod: str) -> None:
    needs = pod in {"airflow scheduler", "airflow api-server", "airflow airflow-cleanup-pods"}
    assert allows_address(render(), pod, PRIVATE, 6443) == needs
    near = render({"networkPolicy": {"kubernetesApi": {"cidrs": ["192.0.2.1/32"]}}})
    assert not allows_address(near, pod, PRIVATE, 6443)
    assert allows_address(near, pod, "192.0.2.1", 443) == (needs or pod in {"worker", "notification"})


@pytest.mark.parametrize("pod", sorted(set(PODS) - NOT_POLICED))
def test_everybody_may_look_names_up(pod: str) -> None:
    asked = [
        {(item["port"], item["protocol"]) for item in rule["ports"]}
        for rule in rules(render(), pod, "egress") or ()
        if "to" not in rule
    ]
    assert asked == [{(53, "UDP"), (53, "TCP")}]


@pytest.mark.parametrize("pod", sorted(PORTS))
def test_the_ingress_reaches_the_api_and_airflow_alone(pod: str) -> None:
    open_ones = {"api", "airflow api-server"}
    assert allows_namespace(render(), pod, INGRESS, PORTS[pod]) == (pod in open_ones)
    assert not allows_namespace(render(), pod, {"kubernetes.io/metadata.name": "other"}, PORTS[pod])
    closed = render({"ingress": {"enabled": False}})
    assert not allows_namespace(closed, pod, INGRESS, PORTS[pod])


@pytest.mark.parametrize("pod", ["api", "worker", "consumer", "notification"])
def test_who_collects_metrics_is_let_in_where_the_values_say(pod: str) -> None:
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    assert allows_namespace(render(values_of("high-availability")), pod, monitoring, PORTS[pod])
    assert not allows_namespace(render(), pod, monitoring, PORTS[pod])


@pytest.mark.parametrize(
    ("pod", "reached"),
    [
        ("api", {"203.0.113.10:6432", "203.0.113.11:5671", "203.0.113.12:6379", "203.0.113.13:443"}),
        ("consumer", {"203.0.113.11:5671", "203.0.113.13:443"}),
        ("migration", {"203.0.113.10:6432"}),
    ],
)
def test_services_elsewhere_are_reached_at_their_address_and_port(pod: str, reached: set[str]) -> None:
    rendering = render(values_of("external"))
    ends = [(f"203.0.113.{number}", port) for number in range(10, 15) for port in (443, 5671, 6379, 6432)]
    found = {f"{address}:{port}" for address, port in ends if allows_address(rendering, pod, address, port)}
    assert found == reached


def test_the_policies_can_be_left_to_somebody_else() -> None:
    assert render(merged(values_of("minimal"), {})).of("NetworkPolicy") == []
