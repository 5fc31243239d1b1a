"""Renders the Helm chart with Helm's own engine, without a cluster, and finds things in what comes of it."""

import atexit
import base64
import functools
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import helm_python
import yaml

from afterwrite.base.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "chart"
RELEASE, NAMESPACE = "demo", "shop"
Values = dict[str, Any]
Manifest = dict[str, Any]

PROGRAMS = ("api", "worker", "consumer", "notification")
EXAMPLES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
SETS = ("default", *EXAMPLES)

KNOWN_SETTINGS = frozenset(item.name.upper() for item in fields(Settings))

_STAND_IN = {
    "Chart.yaml": "apiVersion: v2\nname: airflow\nversion: {version}\n",
    "values.yaml": "{{}}\n",
    "templates/config.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: airflow-stand-in
data:
  env: |
    {{{{- tpl .Values.extraEnv . | nindent 4 }}}}
""",
}


def values_of(name: str) -> Values:
    """The values of a set: what an operator would give with `--values`."""
    if name == "default":
        return {}
    found: Values = yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text(encoding="utf-8"))
    return found


def merged(values: Values, more: Values) -> Values:
    """Both, the second before the first, as Helm puts files of values together."""
    both = dict(values)
    for key, value in more.items():
        known = both.get(key)
        both[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both


@functools.cache
def bare() -> Path:
    """A copy of the chart as it is kept, without charts that somebody may have fetched into the folder."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _copied(folder)


def _copied(folder: Path) -> Path:
    return Path(shutil.copytree(CHART, folder / "stack", ignore=shutil.ignore_patterns("charts", "Chart.lock")))


def all_values(values: Values) -> Values:
    """The values with the chart's defaults."""
    with helm_python.Chart.load(bare()) as loaded:
        return loaded.merge_values(values)


def render(values: Values | None = None, chart: Path | None = None, release: str = RELEASE) -> "Rendering":
    """What the chart comes to with these values. Raises HelmError as `helm template` would fail."""
    return _rendered(json.dumps(values or {}, sort_keys=True), chart or bare(), release)


@functools.lru_cache(maxsize=64)
def _rendered(values: str, chart: Path, release: str) -> "Rendering":
    with helm_python.Chart.load(chart) as loaded:
        files = loaded.render(json.loads(values), name=release, namespace=NAMESPACE)
    return Rendering(files)


def with_stand_in(folder: Path) -> Path:
    """A copy of the chart with something small in the place of the Airflow chart, which is not in the tree."""
    copy = _copied(folder)
    [declared] = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["dependencies"]
    for name, text in _STAND_IN.items():
        path = copy / "charts" / "airflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(version=declared["version"]), encoding="utf-8")
    return copy


class Rendering:
    """The manifests of a release."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.notes = next((text for name, text in files.items() if name.endswith("NOTES.txt")), "")
        texts = [text for name, text in files.items() if name.endswith(".yaml")]
        self.manifests: list[Manifest] = [found for text in texts for found in yaml.safe_load_all(text) if found]

    def of(self, *kinds: str) -> list[Manifest]:
        """The manifests of some kinds."""
        return [found for found in self.manifests if found["kind"] in kinds]

    def one(self, kind: str, part: str) -> Manifest:
        """The only manifest of a kind with the name of a part, without the release's."""
        [found] = [item for item in self.of(kind) if item["metadata"]["name"] == f"{RELEASE}-{part}"]
        return found

    def pods(self) -> dict[str, Manifest]:
        """The pods that are made, with metadata and spec, by the names of who makes them."""
        found = {}
        for item in self.of("Deployment", "StatefulSet", "Job"):
            found[item["metadata"]["name"].removeprefix(f"{RELEASE}-")] = item["spec"]["template"]
        for item in self.of("Pod"):
            found[item["metadata"]["name"].removeprefix(f"{RELEASE}-")] = item
        return found

    def secrets(self) -> dict[str, dict[str, str]]:
        """What is in each of the secrets that the chart makes."""
        return {
            item["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in item["data"].items()}
            for item in self.of("Secret")
        }

    def config_maps(self) -> dict[str, dict[str, str]]:
        """What is in each ConfigMap."""
        return {item["metadata"]["name"]: item["data"] for item in self.of("ConfigMap")}

    def environment(self, pod: str, container: int = 0) -> dict[str, str]:
        """The environment of a container; what comes from a secret that the chart does not make is its reference."""
        found: dict[str, str] = {}
        spec = self.pods()[pod]["spec"]["containers"][container]
        for source in spec.get("envFrom", []):
            found |= self.config_maps()[source["configMapRef"]["name"]]
        secrets = self.secrets()
        for item in spec.get("env", []):
            if "value" in item:
                found[item["name"]] = item["value"]
                continue
            wanted = item["valueFrom"]["secretKeyRef"]
            secret = secrets.get(wanted["name"])
            if secret is None:
                found[item["name"]] = f"<{wanted['name']}/{wanted['key']}>"
            elif wanted["key"] in secret or not wanted.get("optional"):
                found[item["name"]] = secret[wanted["key"]]
        return found


def containers(pod: Manifest) -> Iterator[Manifest]:
    """Every container of a pod, those before it starts too."""
    yield from pod["spec"].get("initContainers", [])
    yield from pod["spec"]["containers"]


def secret_references(manifest: object) -> Iterator[Mapping[str, Any]]:
    """Every secretKeyRef in a manifest."""
    if isinstance(manifest, dict):
        for key, value in manifest.items():
            if key == "secretKeyRef":
                yield value
            else:
                yield from secret_references(value)
    elif isinstance(manifest, list):
        for value in manifest:
            yield from secret_references(value)


def fits(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects what has these labels."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In", rule
        exact = exact and labels.get(rule["key"]) in rule["values"]
    return exact


def with_cluster(folder: Path) -> Path:
    """A copy of the chart whose `lookup` finds the secrets given in `global.cluster`: data by the secrets' names."""
    copy = _copied(folder)
    path = copy / "templates" / "_secrets.tpl"
    text = path.read_text(encoding="utf-8")
    found = '(dict "data" (index (($.Values.global).cluster | default dict) (include'
    changed, count = re.subn(r'\(lookup "v1" "Secret" \$ns \(include', lambda _: found, text)
    assert count, text
    changed = changed.replace(")).data | default dict", "))).data | default dict")
    path.write_text(changed, encoding="utf-8")
    return copy
