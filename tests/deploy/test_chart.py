"""The Helm chart as a whole: Helm and Kubernetes take it, whichever set of values it gets, and its parts agree."""

import re
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from chart_rendering import (
    CHART,
    EXAMPLES,
    PROGRAMS,
    RELEASE,
    SETS,
    all_values,
    bare,
    fits,
    merged,
    render,
    values_of,
    with_stand_in,
)

from afterwrite.base.settings import VERSION

# What is said at every lint, and is meant: a chart needs no picture.
ICON = "icon is recommended"
MISSING = "chart directory is missing these dependencies: airflow"


def declared() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    return found


def said(chart: Path, name: str) -> set[str]:
    report = helm_python.lint(chart, values_of(name), strict=True)
    assert report["total_charts_linted"] == 1
    return {message["error"] for message in report["messages"]}


@pytest.mark.parametrize("name", SETS)
def test_lint_misses_nothing_but_the_airflow_chart(name: str) -> None:
    assert said(bare(), name) == {ICON, MISSING}


@pytest.mark.parametrize("name", SETS)
def test_lint_is_silent_when_the_airflow_chart_is_there(name: str, tmp_path: Path) -> None:
    assert said(with_stand_in(tmp_path), name) == {ICON}


def test_every_dependency_but_airflow_is_in_the_tree() -> None:
    missing = {item["name"] for item in helm_python.dependency_list(bare()) if item["status"] != "unpacked"}
    assert missing == {"airflow"}


def test_airflow_is_the_official_chart_at_one_version() -> None:
    [airflow] = declared()["dependencies"]
    assert airflow["repository"] == "https://airflow.apache.org"
    assert airflow["condition"] == "airflow.enabled"
    assert re.fullmatch(r"\d+\.\d+\.\d+", airflow["version"])


@pytest.mark.parametrize("enabled", [True, False])
def test_the_airflow_chart_comes_and_goes_with_its_switch(enabled: bool, tmp_path: Path) -> None:
    values = {} if enabled else values_of("external")
    found = render(values, with_stand_in(tmp_path)).config_maps()
    assert ("airflow-stand-in" in found) == enabled


@pytest.mark.parametrize("version", ["1.30", "1.34", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", SETS)
def test_kubernetes_takes_every_manifest(name: str, version: str) -> None:
    manifests = render(values_of(name)).manifests
    assert len(manifests) > 20
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_there_are_examples_for_external_services_for_high_availability_and_for_a_try() -> None:
    assert {"external", "high-availability", "minimal"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", SETS)
def test_no_two_manifests_have_one_name(name: str) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in render(values_of(name)).manifests]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SETS)
def test_everything_is_in_the_namespace_of_the_release(name: str) -> None:
    assert {item["metadata"].get("namespace") for item in render(values_of(name)).manifests} == {"shop"}


def test_names_stay_short_enough_for_the_longest_name_of_a_release() -> None:
    release = "r" * 53  # the most that Helm takes
    rendering = render({}, release=release)
    assert all(len(item["metadata"]["name"]) <= 63 for item in rendering.manifests)
    for item in rendering.of("StatefulSet"):
        assert len(item["metadata"]["name"]) <= 52  # Kubernetes adds a hash, and a label has 63 characters
    for item in rendering.of("Deployment", "StatefulSet"):
        assert fits(item["spec"]["selector"], item["spec"]["template"]["metadata"]["labels"])


def test_the_chart_has_the_version_of_the_program() -> None:
    assert declared()["appVersion"] == VERSION
    values = all_values({})
    assert values["airflow"]["defaultAirflowTag"] == VERSION
    images = {pod["spec"]["containers"][0]["image"] for name, pod in render().pods().items() if name in PROGRAMS}
    assert images == {f"afterwrite:{VERSION}"}


def test_images_of_others_are_official_and_have_the_tag_of_one_version() -> None:
    values = all_values({})
    for part in ("postgresql", "rabbitmq", "redis"):
        image = values[part]["image"]
        assert "/" not in image["repository"]
        assert re.match(r"\d+\.\d+", image["tag"]), image


def test_each_program_is_started_by_its_file() -> None:
    commands = {name: pod["spec"]["containers"][0].get("command") for name, pod in render().pods().items()}
    assert commands["api"] == ["python", "app.py"]
    assert commands["worker"] == ["python", "-m", "afterwrite", "worker"]
    assert commands["consumer"] == ["python", "-m", "afterwrite", "consumer"]
    assert commands["notification"] == ["python", "-m", "afterwrite", "notification"]


def test_the_sample_catalogue_is_loaded_where_it_is_wanted_only() -> None:
    api = render({"api": {"sampleCatalogue": True}}).pods()["api"]
    assert api["spec"]["containers"][0]["command"] == ["python", "-m", "devkit.serve"]


@pytest.mark.parametrize("name", SETS)
def test_the_endpoints_are_under_one_host(name: str) -> None:
    values = all_values(values_of(name))
    rendering = render(values_of(name))
    if not values["ingress"]["enabled"]:
        assert rendering.of("Ingress") == []
        return
    [rule] = rendering.one("Ingress", "ingress")["spec"]["rules"]
    assert rule["host"] == values["ingress"]["host"]
    backends = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
    airflow = {"/airflow"} if values["airflow"]["enabled"] else set()
    assert set(backends) == {"/", "/graphql", "/api/process", "/webhook"} | airflow
    assert {path["pathType"] for path in rule["http"]["paths"]} == {"Prefix"}
    for path in set(backends) - airflow:
        assert backends[path] == {"name": f"{RELEASE}-api", "port": {"name": "http"}}
    for path in airflow:
        assert backends[path] == {"name": f"{RELEASE}-airflow-api-server", "port": {"number": 8080}}


def test_tls_ends_at_the_ingress_and_the_links_say_so() -> None:
    values = merged(values_of("high-availability"), {"ingress": {"host": "a.test"}})
    rendering = render(values)
    assert rendering.one("Ingress", "ingress")["spec"]["tls"] == [{"hosts": ["a.test"], "secretName": "demo-tls"}]
    assert rendering.environment("api")["AIRFLOW_PUBLIC_URL"] == "https://a.test/airflow"
    assert "WITHOUT TLS" not in rendering.notes
    assert "WITHOUT TLS" in render().notes


@pytest.mark.parametrize("name", SETS)
def test_services_reach_a_port_that_their_pods_have(name: str) -> None:
    rendering = render(values_of(name))
    for service in rendering.of("Service"):
        reached = [
            pod
            for pod in rendering.pods().values()
            if fits({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
        ]
        assert len(reached) == 1, service["metadata"]["name"]
        ports = {port["name"]: port["containerPort"] for port in reached[0]["spec"]["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


@pytest.mark.parametrize("name", SETS)
def test_selectors_of_workloads_and_budgets_fit_the_pods_of_one_part(name: str) -> None:
    rendering = render(values_of(name))
    pods = rendering.pods()
    for item in rendering.of("Deployment", "StatefulSet", "PodDisruptionBudget"):
        part = item["metadata"]["name"].removeprefix(f"{RELEASE}-")
        fitting = {other for other, pod in pods.items() if fits(item["spec"]["selector"], pod["metadata"]["labels"])}
        assert fitting == {part}


@pytest.mark.parametrize("name", SETS)
def test_a_node_with_an_only_pod_can_be_drained(name: str) -> None:
    budgets = render(values_of(name)).of("PodDisruptionBudget")
    assert {item["metadata"]["name"] for item in budgets} == {f"{RELEASE}-{part}" for part in PROGRAMS}
    for item in budgets:
        assert item["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in item["spec"]


@pytest.mark.parametrize("part", ["api", "worker"])
def test_who_is_scaled_has_its_number_from_the_autoscaler_alone(part: str) -> None:
    scaled = render().one("HorizontalPodAutoscaler", part)
    target = scaled["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", f"{RELEASE}-{part}")
    assert scaled["spec"]["minReplicas"] < scaled["spec"]["maxReplicas"]
    assert "replicas" not in render().one("Deployment", part)["spec"]
    fixed = render({part: {"replicas": 5, "autoscaling": {"enabled": False}}})
    assert fixed.one("Deployment", part)["spec"]["replicas"] == 5
    assert f"{RELEASE}-{part}" not in [item["metadata"]["name"] for item in fixed.of("HorizontalPodAutoscaler")]


@pytest.mark.parametrize("part", ["postgresql", "rabbitmq", "redis"])
def test_what_is_elsewhere_has_nothing_here(part: str) -> None:
    def named(rendering: Any) -> list[str]:
        return [
            item["kind"]
            for item in rendering.manifests
            if item["metadata"]["name"] == f"{RELEASE}-{part}" and item["kind"] != "Secret"
        ]

    assert named(render()) != []
    assert named(render(values_of("external"))) == []


def test_the_migration_runs_before_an_upgrade_and_never_before_an_install() -> None:
    job = render().one("Job", "migration")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    assert "before-hook-creation" in job["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["python", "init_db.py", "--schema-only"]
    assert render({"migration": {"enabled": False}}).of("Job") == []


def test_the_migration_needs_nothing_that_the_upgrade_would_only_make() -> None:
    pod = render(values_of("high-availability")).pods()["migration"]
    assert "envFrom" not in pod["spec"]["containers"][0]
    assert {"emptyDir"} == {key for volume in pod["spec"]["volumes"] for key in volume if key != "name"}


def test_pods_that_work_on_the_database_wait_for_it_and_bring_its_schema_up_to_date() -> None:
    for name, pod in render().pods().items():
        first = [item["name"] for item in pod["spec"].get("initContainers", [])]
        assert first == (["prepare-database"] if name in {"api", "worker", "notification"} else [])
    script = render().pods()["api"]["spec"]["initContainers"][0]["command"][-1]
    assert "init_db.py --schema-only" in script


def test_what_must_last_is_on_a_volume_and_the_rest_is_not() -> None:
    for part in ("postgresql", "rabbitmq"):
        claims = render().one("StatefulSet", part)["spec"]["volumeClaimTemplates"]
        assert [claim["metadata"]["name"] for claim in claims] == ["data"]
        bare = render(values_of("minimal")).one("StatefulSet", part)["spec"]
        assert "volumeClaimTemplates" not in bare
        assert "data" in [volume["name"] for volume in bare["template"]["spec"]["volumes"]]
    assert "HAS NO VOLUME" in render(values_of("minimal")).notes
    assert "HAS NO VOLUME" not in render().notes


def test_the_node_of_rabbitmq_keeps_its_name_whatever_the_release_is_called() -> None:
    for release in ("demo", "another"):
        [stateful] = [
            item
            for item in render({}, release=release).of("StatefulSet")
            if item["metadata"]["name"] == f"{release}-rabbitmq"
        ]
        environment = stateful["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {"name": "RABBITMQ_NODENAME", "value": "rabbit@localhost"} in environment


def test_the_readme_is_short_and_names_every_group_of_values() -> None:
    text = (CHART / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    for name in all_values({}):
        if name != "global":
            assert f"`{name}" in text, name
