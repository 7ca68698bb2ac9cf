"""What the image installs is what pyproject.toml pins, hash by hash, without the synthesiser of the demo."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = (ROOT / "deploy" / "requirements.txt").read_text()
OBJECTS = (ROOT / "deploy" / "requirements-s3.txt").read_text()
BUILD = (ROOT / "deploy" / "build-requirements.txt").read_text()
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)(?: ;.*)?(?: \\)?$", re.MULTILINE)


def pins(requirements: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall(requirements):
        found.setdefault(name.lower(), set()).add(version)
    return found


def direct(dependencies: list[str]) -> dict[str, str]:
    named = (re.match(r"([A-Za-z0-9._-]+)(?:\[\w+\])?==([^;\s]+)", line) for line in dependencies)
    return {found[1].lower(): found[2] for found in named if found is not None}


@pytest.mark.parametrize(
    ("requirements", "wanted"),
    [(LOCKED, PROJECT["project"]["dependencies"]), (BUILD, PROJECT["build-system"]["requires"])],
    ids=["server", "build"],
)
def test_the_locked_versions_are_those_of_the_project(requirements: str, wanted: list[str]) -> None:
    locked, pinned = pins(requirements), direct(wanted)

    assert len(pinned) == len(wanted), "every dependency is pinned exactly"
    assert {name: {version} for name, version in pinned.items()} == {name: locked.get(name) for name in pinned}, (
        "run: uv run python deploy/lock.py"
    )


def test_each_package_that_the_server_imports_is_pinned_whatever_python_runs_it() -> None:
    ours = {path.stem for path in ROOT.iterdir()} | {"acme", "pytest", "audioop"}  # Python has audioop up to 3.12
    folders = ("actors", "agents", "demo", "protocol", "simulators", "store", "web")
    files = [*ROOT.glob("*.py"), *(file for folder in folders for file in (ROOT / folder).rglob("*.py"))]
    imported = {name.partition(".")[0] for file in files for name in imports_of(file)}
    names = packages_distributions()
    brought = {names[name][0].lower().replace("_", "-") for name in imported - ours - sys.stdlib_module_names}
    optional = PROJECT["project"]["optional-dependencies"].values()
    lines = [line for group in (PROJECT["project"]["dependencies"], *optional) for line in group if ";" not in line]

    assert brought - direct(lines).keys() == set()


def imports_of(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    froms = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return froms | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize("requirements", [LOCKED, BUILD, OBJECTS], ids=["server", "build", "objects"])
def test_every_locked_package_has_a_hash_and_no_address(requirements: str) -> None:
    packages = [block for block in re.split(r"^(?=\S)", requirements, flags=re.MULTILINE) if "==" in block]

    assert packages
    assert [block for block in packages if "--hash=sha256:" not in block] == []
    assert "://" not in requirements


def test_an_image_with_an_object_store_has_its_driver_and_no_other_version_of_what_all_have() -> None:
    more, locked = pins(OBJECTS), pins(LOCKED)

    assert direct(PROJECT["project"]["optional-dependencies"]["objects"]) == {"fsspec": "".join(more["fsspec"])}
    assert f"s3fs=={''.join(more['s3fs'])}" in (ROOT / "deploy" / "lock.py").read_text()
    assert {name: versions for name, versions in more.items() if versions != locked.get(name, versions)} == {}
    assert "requirements-${OBJECTS}.txt" in (ROOT / "Dockerfile").read_text()


def test_the_image_installs_by_hash_from_a_pinned_base() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"bin/pip install ([^\\\n]+)", dockerfile)

    assert re.search(r"^ARG PYTHON_IMAGE=\S+@sha256:[0-9a-f]{64}$", dockerfile, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []


def test_the_synthesiser_is_in_no_production_installation() -> None:
    assert "espeakng-loader" not in pins(LOCKED)
    assert [line for line in PROJECT["project"]["dependencies"] if "espeak" in line] == []
    assert direct(PROJECT["project"]["optional-dependencies"]["demo"])["espeakng-loader"]


def test_every_installed_package_has_its_licence_listed() -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    listed = dict(re.findall(r"^\| ([\w.-]+) \| \S+ \| (.+) \|$", page, re.MULTILINE))

    assert {name for name in direct(PROJECT["project"]["dependencies"]) if ";" not in name} - set(listed) <= {
        "audioop-lts"
    }
    assert [name for name, licence in listed.items() if licence == "not declared"] == []
    assert [name for name, licence in listed.items() if re.search(r"\b(A?GPL)", licence)] == []


def test_the_pods_reach_what_they_need_and_hold_no_account() -> None:
    manifest = (ROOT / "deploy" / "kubernetes.yaml").read_text()

    assert "automountServiceAccountToken: false" in manifest
    assert "kind: NetworkPolicy" in manifest
    assert "169.254.0.0/16" in manifest
