"""The document of the API has each route that a program may ask, and no other."""

import re

import pytest

from tests.web.fakes import exchange
from web.routes.openapi import OPERATIONS, Operation, document

NOT_FOR_PROGRAMS = frozenset({"twilio", "transfer", "console"})
"""Blueprints that Twilio signs its requests to, or that operators use in a browser."""


def routes() -> dict[tuple[str, str], str]:
    """Return the application's routes for programs, with the blueprint of each."""
    found = {}
    for rule in exchange().app.url_map.iter_rules():
        blueprint = rule.endpoint.partition(".")[0]
        if blueprint not in NOT_FOR_PROGRAMS:
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            found.update({(method, path): rule.endpoint for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}})
    return found


def test_each_route_has_its_line_in_the_document() -> None:
    described = [(one.method, one.path) for one in OPERATIONS]

    assert len(described) == len(set(described))
    assert sorted(routes()) == sorted(described), "web/routes/openapi.py has a line for each route"


async def test_the_document_is_served_without_a_token() -> None:
    async with exchange().client() as client:
        answer = await client.get("/openapi.json", headers={"Authorization": ""})

    assert answer.status_code == 200
    assert answer.json() == document()


@pytest.mark.parametrize("path", [one.path for one in OPERATIONS if one.method == "GET" and "{" not in one.path])
async def test_what_is_said_to_be_open_is_open_and_nothing_else(path: str) -> None:
    said = next(one for one in OPERATIONS if (one.method, one.path) == ("GET", path))
    async with exchange().client() as client:
        answer = await client.get(path, headers={"Authorization": "Bearer wrong"})

    assert said.is_open is (answer.status_code != 401)


CHECKED = [one for one in OPERATIONS if one.asks is not None]


@pytest.mark.parametrize("one", CHECKED, ids=lambda one: f"{one.method} {one.path}")
async def test_an_argument_that_the_document_does_not_have_is_refused(one: Operation) -> None:
    path = one.path.replace("{number}", "+15557650000").replace("{name}", "CA" + "1" * 32)
    answer = await exchange().operator(one.method, f"{path}?nonsense=1")

    assert (answer.status_code, answer.json()["field"]) == (400, "nonsense")
    assert all(name in answer.json()["fix"] for name in one.asks or ())


def test_platforms_and_scrapers_may_add_what_they_like() -> None:
    assert {one.path for one in OPERATIONS if one.asks is None} == {"/healthz", "/readyz", "/metrics", "/openapi.json"}


def test_the_document_names_the_arguments_and_what_they_may_be() -> None:
    paths = document()["paths"]
    assert isinstance(paths, dict)
    (goodbye,) = [one for one in paths["/calls/{name}"]["delete"]["parameters"] if one["in"] == "query"]

    assert goodbye == {"name": "goodbye", "in": "query", "schema": {"type": "string", "pattern": "^(?:yes|no)$"}}


async def test_a_refusal_is_of_the_type_that_the_document_names() -> None:
    paths = document()["paths"]
    assert isinstance(paths, dict)
    answer = await exchange().operator("GET", "/calls?limit=0")

    assert list(paths["/calls"]["get"]["responses"]["default"]["content"]) == [answer.headers["content-type"]]


def test_a_path_names_its_parameters() -> None:
    paths = document()["paths"]
    assert isinstance(paths, dict)
    for path, methods in paths.items():
        assert isinstance(methods, dict)
        for operation in methods.values():
            assert isinstance(operation, dict)
            named = re.findall(r'"name": ?"(\w+)", ?"in": ?"path"', str(operation).replace("'", '"'))
            assert named == re.findall(r"\{(\w+)\}", path)
            assert operation["summary"]
