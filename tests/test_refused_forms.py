"""A refused form comes back filled in, each refused field named beside it, on the page where it was opened."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from uuid import UUID

import httpx
import pytest

from schemas.clinic import Clinic
from schemas.gate import GateSetting
from schemas.staff import Role
from service import database, ids
from service.database import Pool
from service.desk import gate_words
from service.people import clients
from service.web.forms import forms_of_page, refilling
from tests.appointments import a_planned_infusion, a_session_of
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session

HOST = "http://neap.test"


class Filled(HTMLParser):
    """What a form of a page would send, and which of its fields are marked as refused."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.values: list[tuple[str, str]] = []
        self.marked: list[str] = []
        self.inside = False
        self._select, self._area, self._option = "", "", False
        self._action = forms_of_page.UUID_TEXT.sub("*", action)
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        name = told.get("name") or ""
        if tag == "form":
            self.inside = forms_of_page.UUID_TEXT.sub("*", told.get("action") or "") == self._action
        if not self.inside:
            return
        if "aria-invalid" in told:
            self.marked.append(name)
        if tag == "select":
            self._select = name
        elif tag == "textarea":
            self._area = name
        elif tag == "option" and "selected" in told:
            self._option = "value" not in told
            if not self._option:
                self.values.append((self._select, told["value"] or ""))
        elif tag == "input" and (told.get("type") not in ("checkbox", "radio") or "checked" in told):
            self.values.append((name, told.get("value") or ""))

    def handle_data(self, data: str) -> None:
        if self._option:
            self.values.append((self._select, data))
            self._option = False
        if self._area:
            self.values.append((self._area, data.removeprefix("\n")))
            self._area = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False


class Scene:
    """Somebody who may do everything, and a client with an infusion to come."""

    def __init__(self, http: httpx.AsyncClient, person: SignedInAs, client_id: UUID, infusion_id: UUID) -> None:
        self.http, self.person, self.client_id, self.infusion_id = http, person, client_id, infusion_id

    def path(self, text: str) -> str:
        return text.format(client=self.client_id, infusion=self.infusion_id, fresh=ids.new())

    async def send(self, page: str, action: str, form: dict[str, object], **headers: str) -> httpx.Response:
        referer = {"Referer": str(self.http.base_url.join(self.path(page)))}
        return await self.http.post(self.path(action), data=form, headers=self.person.bearer | referer | headers)


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def scene(http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic) -> Scene:
    roles = [Role.ADMIN, Role.COORDINATOR, Role.THERAPIST, Role.PRESCRIBER]
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person = await a_session(db, await a_person(db, roles=roles))
        client_id = await a_client(db)
        await clients.assign(db, client_id, person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        infusion_id = await a_planned_infusion(db, client_id, hours_ahead=5)
    return Scene(http, person, client_id, infusion_id)


CLIENT: dict[str, object] = {"given_name": "Wilhelmina", "family_name": 'O"Neil <Ávila>', "time_zone": "Asia/Tokyo"}
GATE: dict[str, object] = dict.fromkeys(GateSetting.__struct_fields__, "24")
FORMS: list[tuple[str, str, dict[str, object], list[str]]] = [
    ("/clients/new", "/clients", CLIENT, ["substances"]),
    (
        "/clients/new",
        "/clients",
        {"given_name": " ", "substances": ["cocaine", "opioid"], "primary": "opioid", "time_zone": "Nowhere"},
        ["given_name", "time_zone"],
    ),
    ("/staff", "/staff", {"name": "Jo Quill", "email": "jo", "roles": ["nurse", "coordinator"]}, ["email"]),
    ("/staff", "/staff", {"name": "Jo Quill", "email": "jo@clinic.example"}, ["roles"]),
    ("/settings/name", "/settings/name", {"name": "", "time_zone": "Asia/Tokyo"}, ["name"]),
    (
        "/settings/clinic",
        "/settings/clinic",
        {"notice_addition": "Ours", "label_1": "Line", "contact_1": "", "opens_2": "17:00", "closes_2": "09:00"},
        ["opens_2", "label_1"],
    ),
    ("/settings", "/settings/gate", GATE | {"diastolic_limit": "90", "systolic_limit": "high"}, ["systolic_limit"]),
    ("/settings", "/settings/webhooks", {"url": "http://10.0.0.1/hook", "outside": "yes"}, ["url"]),
    ("/settings/service-accounts", "/settings/service-accounts", {"name": "Records"}, ["scopes"]),
    (
        "/settings/instruments",
        "/settings/instruments/phq9/schedule",
        {"phase": "maintenance", "every_days": "soon", "open_days": "3", "from_on": "2030-01-01"},
        ["every_days"],
    ),
    ("/settings/instruments", "/settings/instruments", {"definition": '{"code": 1}\n  <b>'}, []),
    (
        "/rota",
        "/rota/shifts/{fresh}",
        {"staff_id": "", "from_at": "2030-01-01T09:00", "until_at": "2030-01-01T17:00", "weeks": "2"},
        ["staff_id"],
    ),
    (
        "/rota",
        "/rota/shifts/{fresh}",
        {"from_at": "2030-01-01T09:00", "until_at": "2030-01-01T17:00", "weeks": "99"},
        ["weeks"],
    ),
    ("/rota", "/rota/covers/{fresh}", {"from_at": "soon", "until_at": "2030-01-01T17:00"}, ["covered_by"]),
    ("/rules", "/rules/preview", {"budget_days": "7"}, ["budget_days"]),
    (
        "/clients/{client}/treatment",
        "/clients/{client}/treatment/schedules/{fresh}",
        {"template": "three_times_a_week", "starts_on": "2030-01-01", "at": "10:30", "weeks": "900", "weekdays": ["2"]},
        ["weeks"],
    ),
    (
        "/clients/{client}/treatment",
        "/clients/{client}/treatment/infusions/{infusion}/state",
        {"state": "given", "given_at": "2020-01-01T09:00", "dose_mg_per_kg": "50", "duration_minutes": "40"},
        ["dose_mg_per_kg"],
    ),
    (
        "/clients/{client}/treatment",
        "/clients/{client}/treatment/pauses/{fresh}",
        {"from_on": "2030-01-02", "until_on": "2030-01-01", "reason": "travel"},
        ["from_on"],
    ),
    (
        "/clients/{client}/sessions",
        "/clients/{client}/sessions",
        {"at": "tomorrow", "modality": "group", "minutes": "55"},
        ["at"],
    ),
    (
        "/clients/{client}/sessions",
        "/clients/{client}/sessions",
        {"at": "2030-01-01T09:00", "modality": "group", "minutes": "0"},
        ["minutes"],
    ),
    (
        "/infusions/{infusion}/gate",
        "/infusions/{infusion}/gate/vitals",
        {"at": "2026-01-01T09:00", "systolic": "tall", "diastolic": "80", "pulse": "61"},
        ["systolic"],
    ),
    (
        "/infusions/{infusion}/gate",
        "/infusions/{infusion}/gate/screens",
        {"at": "then", "panel": ["opioid"], "positive": ["opioid"], "confirmation": "confirmed"},
        ["at"],
    ),
    (
        "/infusions/{infusion}/gate",
        "/infusions/{infusion}/gate/checklists",
        {"at": "2026-01-01T09:00", "pregnancy": "absent"},
        [each for each in gate_words.CONDITIONS if each != "pregnancy"],
    ),
    ("/account", "/account/times", {"tempo": "daily", "quiet_from": "22:00", "quiet_until": ""}, ["quiet_until"]),
]


@pytest.mark.parametrize(("page", "action", "form", "refused"), FORMS)
async def test_what_was_typed_stands_in_the_form_again_and_what_is_wrong_beside_it(
    scene: Scene, page: str, action: str, form: dict[str, object], refused: list[str]
) -> None:
    reply = await scene.send(page, action, form)
    assert reply.status_code == 400
    assert 'role="alert"' in reply.text, reply.text[-900:]
    found = Filled(reply.text, scene.path(action))
    typed = [(name, each) for name, told in form.items() for each in (told if isinstance(told, list) else [told])]
    offered = {name for name, _ in found.values}
    lost = [each for each in typed if each not in found.values and each[1] not in ("Nowhere", "")]
    assert lost == [], offered
    assert found.marked == refused, re.findall(r"<li><b>(.*?)</b>", reply.text)
    assert reply.text.count("autofocus") == 1, "the first field that is refused, else what is said of the whole"
    assert ('role="alert" tabindex="-1" autofocus' in reply.text) != bool(refused)


async def test_corrected_on_the_page_that_came_back_it_is_kept_and_refused_twice_it_comes_back_twice(
    scene: Scene, owner_pool: Pool, clinic: Clinic
) -> None:
    first = await scene.send("/clients/new", "/clients", CLIENT)
    # The browser now stands at the address to which the form was sent.
    again: dict[str, object] = {**dict(Filled(first.text, "/clients").values), "given_name": ""}
    second = await scene.send("/clients", "/clients", again)
    found = Filled(second.text, "/clients")
    assert ("family_name", CLIENT["family_name"]) in found.values
    assert found.marked == ["given_name", "substances"]
    done = await scene.send("/clients", "/clients", again | {"given_name": "Wilhelmina", "substances": "alcohol"})
    assert done.status_code == 303
    client_id = UUID(done.headers["location"].split("/")[2])
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        added = await clients.get(db, client_id)
    assert (added.given_name, added.family_name, added.time_zone) == tuple(
        CLIENT[name] for name in ("given_name", "family_name", "time_zone")
    )


async def test_a_conflict_gives_the_form_back_too(scene: Scene) -> None:
    taken: dict[str, object] = {"name": "Jo Quill", "email": "therapist@clinic.example", "roles": ["nurse"]}
    reply = await scene.send("/staff", "/staff", taken)
    assert reply.status_code == 409
    assert "works here already" in reply.text
    assert ("email", "therapist@clinic.example") in Filled(reply.text, "/staff").values


@pytest.mark.parametrize(
    "referer",
    ["", "https://elsewhere.example/clients/new", f"{HOST}//elsewhere.example", f"{HOST}/none/such"],
)
async def test_without_a_page_of_ours_the_refusal_stands_alone(scene: Scene, referer: str) -> None:
    headers = scene.person.bearer | ({"Referer": referer} if referer else {})
    reply = await scene.http.post("/clients", data=CLIENT, headers=headers)
    assert reply.status_code == 400
    assert "Go back, correct it" in reply.text
    assert "Wilhelmina" not in reply.text


async def test_where_the_form_does_not_stand_on_its_page_any_more_the_refusal_stands_at_its_head(scene: Scene) -> None:
    reply = await scene.send("/inbox", "/clients", CLIENT)
    assert reply.status_code == 400
    assert "<h1>Inbox</h1>" in reply.text
    assert re.search(r'id="said"[^>]*><p tabindex="-1" autofocus>[^<]*substances: at least one', reply.text)


async def test_what_another_site_had_a_browser_send_is_not_shown_as_typed(scene: Scene) -> None:
    forged = {"Referer": f"{HOST}/clients/new", "Sec-Fetch-Site": "cross-site"}
    for headers in (forged, {"Referer": f"{HOST}/clients/new"}):  # and one without the session's own token
        reply = await scene.http.post("/clients", data=CLIENT, headers=scene.person.cookie | headers)
        assert reply.status_code == 400
        assert "Wilhelmina" not in reply.text


async def test_secrets_and_what_the_page_hides_are_not_sent_back() -> None:
    page = (
        '<title>T</title><form method="post" action="/x"><input type="hidden" name="csrf_token" value="fresh">'
        '<input type="password" name="password"><input name="name" value=""></form>'
    )
    texts = [("csrf_token", "stale"), ("password", "s3cret"), ("name", "Jo")]
    filled = refilling.refill(page, sent_to="/x", texts=texts, says="No.", faults=[], opened_at="/x")
    assert filled is not None
    assert ("stale" in filled, "s3cret" in filled) == (False, False)
    assert 'value="Jo"' in filled


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\r\n", "\n"])
def test_whatever_ends_a_line_in_what_people_wrote_the_form_is_found_where_it_stands(end: str) -> None:
    before = f'T</title><p>one{end}two{end}three</p>\n<form method="post" action="/x">'
    page = f'<title>{before}<input name="name" value=""></form>'
    filled = refilling.refill(page, sent_to="/x", texts=[("name", "Jo")], says="No.", faults=[], opened_at="/x")
    assert filled is not None
    assert filled.startswith(f"<title>Refused: {before}<")
    assert filled.endswith('<input name="name" value="Jo"></form>')


async def test_a_form_behind_a_fold_is_opened_and_only_that_one(scene: Scene) -> None:
    form: dict[str, object] = {"from_on": "2030-01-02", "until_on": "2030-01-01", "reason": "travel"}
    reply = await scene.send("/clients/{client}/treatment", "/clients/{client}/treatment/pauses/{fresh}", form)
    opened = [
        re.search(r"<summary>(.*?)</summary>", part)
        for part in reply.text.split("<details")[1:]
        if part.partition(">")[0].split()[-1:] == ["open"]
    ]
    assert [each[1] for each in opened if each] == ["Pause"]


async def test_what_was_typed_for_a_record_that_is_gone_stands_in_the_form_of_no_other(
    scene: Scene, owner_pool: Pool, clinic: Clinic
) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        gone, stays = [await a_session_of(db, scene.client_id, hours_ahead=hours) for hours in (20, 44)]
    page = "/clients/{client}/sessions"
    shown = (await scene.http.get(scene.path(page), headers=scene.person.bearer)).text
    found = re.search(rf'/sessions/{gone}/change">.*?name="version" value="(.*?)"', shown)
    assert found is not None
    version = found[1]
    assert (await scene.send(page, f"/sessions/{gone}/state", {"state": "cancelled", "version": version})).is_redirect
    form = {"at": "2030-01-01T09:00", "modality": "group", "minutes": "55", "version": version, "meant": "yes"}
    reply = await scene.send(page, f"/sessions/{gone}/change", form)
    assert reply.status_code == 409
    assert f'action="/sessions/{stays}/change"' in reply.text
    assert "2030-01-01T09:00" not in reply.text
    told = re.search(r'id="said" role="alert"><p [^>]*>(.*?)</p>', reply.text)
    assert told is not None
    assert "meanwhile" in told[1]


async def test_programs_are_refused_as_before(scene: Scene) -> None:
    reply = await scene.http.post(
        f"/v1/clients/{scene.client_id}/pauses", json={}, headers=scene.person.bearer | {"Referer": f"{HOST}/rota"}
    )
    assert "html" not in reply.headers["content-type"]


def test_half_a_client_day_is_no_page() -> None:
    """A page without forms has nothing to give back."""
    assert refilling.refill("<p>x", sent_to="/x", texts=[], says="", faults=[], opened_at="/x") is None
