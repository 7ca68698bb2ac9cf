"""The numbers of the manifest and the Dockerfile hang together with the program's own."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

import cli
from actors.policy import CallPolicy
from settings import Settings
from tests.web.fakes import ENVIRON, context_of, exchange
from web.calls.work_queue import LAST_SECONDS
from web.serving import GRACE_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifest() -> Mapping[str, Any]:
    text = (ROOT / "deploy" / "kubernetes.yaml").read_text()
    return {document["kind"]: document["spec"] for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def pod(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = manifest["Deployment"]["template"]["spec"]
    return spec


def _environment(pod: Mapping[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}


def test_a_pod_may_take_longer_to_stop_than_its_calls_take_to_end(pod: Mapping[str, Any]) -> None:
    container = pod["containers"][0]
    chosen = Settings.from_environ({**ENVIRON, **_environment(pod)})
    pre_stop = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    needed = (
        pre_stop
        + chosen.drain_timeout
        + CallPolicy().deadlines.longest_closing
        + GRACE_SECONDS
        + CallPolicy().deadlines.settle
        + 2 * LAST_SECONDS  # of hooks and uploads
    )

    assert needed < pod["terminationGracePeriodSeconds"]


def test_no_new_call_is_routed_to_a_pod_that_drains(pod: Mapping[str, Any]) -> None:
    probe = pod["containers"][0]["readinessProbe"]
    pre_stop = float(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])

    assert probe["httpGet"]["path"] == "/readyz"
    assert probe["periodSeconds"] * probe["failureThreshold"] < pre_stop


async def test_the_probes_and_the_metric_are_there(manifest: Mapping[str, Any], pod: Mapping[str, Any]) -> None:
    container = pod["containers"][0]
    metric = manifest["HorizontalPodAutoscaler"]["metrics"][0]["pods"]
    there = exchange()
    async with there.client() as client:
        statuses = [
            (await client.get(container[probe]["httpGet"]["path"])).status_code
            for probe in ("readinessProbe", "livenessProbe")
        ]
    metrics = (await there.operator("GET", "/metrics")).text

    assert statuses == [200, 200]
    assert f"\n{metric['metric']['name']} " in metrics
    assert float(metric["target"]["averageValue"]) < float(_environment(pod)["MAX_CALLS_PER_WORKER"])


def test_what_is_installed_is_the_program_whole_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    modules = {path.name for path in ROOT.glob("*.py")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    installed = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert list(installed) == ["only-include"], "hatch takes nothing besides `packages`, whatever `include` says"
    assert set(installed["only-include"]) == (modules | packages) - {"tests", "bench"}
    untyped = [name for name in sorted(packages - {"tests", "bench"}) if not (ROOT / name / "py.typed").exists()]
    assert untyped == [], "without it no type checker of a user's reads our annotations (PEP 561)"


def test_the_container_copies_what_is_installed_and_does_not_run_as_root() -> None:
    dockerfile, ignored = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"], "pyproject.toml", "README.md"}
    wanted |= {"LICENSE", "deploy/requirements.txt", "deploy/build-requirements.txt"}

    assert {line[1:] for line in ignored.splitlines() if line.startswith("!")} == wanted
    assert re.search(r"^USER switchboard$", dockerfile, re.MULTILINE)
    assert re.search(r'^CMD \["switchboard", "serve"\]$', dockerfile, re.MULTILINE)


def _documents(name: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all((ROOT / "deploy" / name).read_text())}


PODS = "idle 10.0.0.1\\nbusy 10.0.0.2\\ndead 10.0.0.3\\n"


async def test_pods_without_calls_are_scaled_down_first(tmp_path: Path) -> None:
    """The script of the manifest, with programs that answer as kubectl and curl do."""
    there = exchange()
    answers = list[str]()
    async with there.client() as client:
        for key in ("one", "two"):
            with context_of(there).slots.take(key):
                answers.append((await client.get("/readyz")).text.strip())
        idle = (await client.get("/readyz")).text.strip()
    programs = {
        "kubectl": f"""if [ "$1" = get ]; then printf "{PODS}"; else echo "$4 $5"; fi""",
        "curl": f"""case "$4" in *10.0.0.1:*) echo '{idle}';; *10.0.0.2:*) echo '{answers[0]}';; esac""",
    }
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    spec = _documents("kubernetes-scale-down.yaml")["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (script,) = spec["containers"][0]["args"]
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = await trio.run_process(["/bin/sh", "-c", script], env=environ, capture_stdout=True)

    cost = "controller.kubernetes.io/pod-deletion-cost"
    assert ran.stdout.decode().splitlines() == [f"idle {cost}=0", f"busy {cost}=1", f"dead {cost}=0"]


def test_what_asks_pods_for_their_calls_is_let_in() -> None:
    label = _documents("kubernetes-scale-down.yaml")["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
    ingress = _documents("kubernetes.yaml")["NetworkPolicy"]["spec"]["ingress"]

    assert {"podSelector": {"matchLabels": label["labels"]}} in ingress[0]["from"]


def test_the_job_runs_a_command_that_there_is() -> None:
    container = _documents("kubernetes-migrate.yaml")["Job"]["spec"]["template"]["spec"]["containers"][0]

    names = {command.callback.__name__ for command in cli.commands.registered_commands if command.callback is not None}
    assert container["command"][1] in names
