"""What a person writes and a check of the database forbids is told to them by its field, never as a fault of ours.

Each check is either met by a request here, or written by us alone, with the reason. The edge and the domain refuse
first; `errors.CONSTRAINTS` says the same where a value slips past them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest

from schemas.alert import Rule, Tier
from schemas.staff import Role
from service import database, errors, ids
from service.config import Config
from service.database import Pool
from service.people import clients
from tests.answering import a_response, an_own
from tests.appointments import a_planned_infusion
from tests.builders import PhoneRow, a_client, a_clinic, a_form, a_phone
from tests.desk import SignedInAs, a_person, a_session, an_alert
from tests.ward import LIST, a_list, a_reading, a_screen
from tests.web import serving

NOW = datetime.now(UTC)
TODAY = (NOW - timedelta(hours=12)).date()


def instant(**ahead: float) -> str:
    return (NOW + timedelta(**ahead)).isoformat()


def day(ahead: int) -> str:
    return (TODAY + timedelta(days=ahead)).isoformat()


class House(NamedTuple):
    """Two clients of one clinic, their phones, somebody who may do everything, and what the addresses name."""

    http: httpx.AsyncClient
    phones: tuple[PhoneRow, PhoneRow]
    person: SignedInAs
    names: dict[str, UUID]

    async def send(self, method: str, path: str, body: object, phone: int = 0) -> httpx.Response:
        """`path` names what is there in braces; what a phone sends is sent by it."""
        of_phone = path.startswith(("/v1/check-ins", "/v1/instrument-responses", "/v1/phone-settings"))
        headers = self.phones[phone].headers if of_phone else self.person.bearer
        return await self.http.request(method, path.format(**self.names, new=ids.new()), json=body, headers=headers)


@pytest.fixture
async def house(settings: Config, owner_pool: Pool) -> AsyncIterator[House]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        everything = [role for role in Role if role is not Role.PRIVACY_OFFICER]
        person = await a_person(db, roles=everything)
        colleague = await a_person(db, Role.NURSE, email="nurse@clinic.example", name="Noor Aziz")
        people = [await a_client(db, started_on=TODAY - timedelta(days=60), given_name=name) for name in ("Ada", "Bo")]
        for client_id in people:
            await clients.assign(db, client_id, person, Role.THERAPIST, from_at=NOW - timedelta(days=30))
        names = {
            "client": people[0],
            "other": people[1],
            "infusion": await a_planned_infusion(db, people[0]),
            "past": await a_planned_infusion(db, people[0], hours_ahead=-30),
            "alert": await an_alert(db, people[0], Rule.SAFETY, Tier.URGENT, now=NOW),
            "me": person,
            "colleague": colleague,
        }
        phones = (await a_phone(db, people[0], now=NOW), await a_phone(db, people[1], now=NOW))
        session = await a_session(db, person)
    async with serving(settings) as http:
        yield House(http, phones, session, names)


class Mistake(NamedTuple):
    """Checks that a request would break, and the field that the answer names; "" where it contradicts what is (409)."""

    checks: str
    field: str
    method: str
    path: str
    body: dict[str, Any]


CLIENT, GATE = "/v1/clients/{client}", "/v1/infusions/{infusion}/gate"
PLAN = {"template": "twice_a_week", "starts_on": day(1), "at": "10:00", "weeks": 4}
BOOSTERS = {"template": "boosters", "starts_on": day(1), "at": "10:00"}
GATE_SETTING = {
    "gate_opens_hours": 24,
    "gate_clear_hours": 48,
    "gate_warning_hours": 4,
    "systolic_limit": 140,
    "diastolic_limit": 90,
    "therapy_window_hours": 72,
}
COVER = {"staff_id": "{me}", "covered_by": "{colleague}", "from_at": instant(hours=1), "until_at": instant(hours=2)}
SHIFT = {"staff_id": "{me}", "from_at": instant(hours=1), "until_at": instant(hours=2)}
RHYTHM = {"phase": "induction", "every_days": 7, "open_days": 2, "from_on": day(1)}


def daily(**answers: object) -> dict[str, Any]:
    return a_form(answered_at=instant(minutes=-1), sent_at=instant(), **answers)


def _treatment() -> list[Mistake]:
    pause, plan, state = f"{CLIENT}/pauses/{{new}}", f"{CLIENT}/schedules/{{new}}", f"{CLIENT}/infusions/{{past}}/state"
    given = {"state": "given", "given_at": instant(hours=-30)}
    course = f"{CLIENT}/course"
    away = {"from_on": day(0), "until_on": day(-1), "reason": "travel"}
    return [
        Mistake("pause_period", "until_on", "PUT", pause, away),
        Mistake("pause_reason_known", "reason", "PUT", pause, {"from_on": day(0), "reason": "sulking"}),
        Mistake("schedule_weeks_range", "weeks", "PUT", plan, PLAN | {"weeks": 13}),
        Mistake("schedule_template_known", "template", "PUT", plan, PLAN | {"template": "daily"}),
        Mistake("schedule_boosters_have_rhythm", "boosters", "PUT", plan, BOOSTERS),
        *(
            Mistake("schedule_boosters_range", f"boosters.{name}", "PUT", plan, BOOSTERS | {"boosters": boosters})
            for name, boosters in (
                ("every_weeks", {"every_weeks": 27, "count": 2}),
                ("count", {"every_weeks": 2, "count": 27}),
            )
        ),
        Mistake("infusion_dose_range", "dose_mg_per_kg", "POST", state, given | {"dose_mg_per_kg": 5.0}),
        Mistake("infusion_duration_range", "duration_minutes", "POST", state, given | {"duration_minutes": 481}),
        Mistake("infusion_given_has_time", "given_at", "POST", state, {"state": "given"}),
        Mistake(
            "infusion_dose_of_given",
            "dose_mg_per_kg",
            "POST",
            state,
            {"state": "missed", "reason": "no_show", "dose_mg_per_kg": 0.5},
        ),
        Mistake("infusion_state_known infusion_event_state_known", "state", "POST", state, {"state": "half"}),
        Mistake("infusion_reason_known", "reason", "POST", state, {"state": "missed", "reason": "moon"}),
        Mistake(
            "course_period", "last_day", "POST", f"{course}/discharge", {"last_day": day(-61), "reason": "completed"}
        ),
        Mistake(
            "course_event_reason_known", "reason", "POST", f"{course}/discharge", {"last_day": day(0), "reason": "gone"}
        ),
        Mistake("course_phase_known course_event_phase_known", "phase", "POST", f"{course}/phase",
                {"phase": "warm_up", "from_on": day(0)}),
        Mistake("course_substance_period", "from_on", "POST", f"{course}/substances",
                {"substances": ["alcohol"], "from_on": day(-61)}),
        Mistake("course_substance_known course_event_substances_known", "substances[0]", "POST",
                f"{course}/substances", {"substances": ["tea"], "from_on": day(0)}),
    ]  # fmt: skip


def _gate() -> list[Mistake]:
    odd = {
        "gate_opens_hours": ("clinic_setting_gate_opens_range", 337),
        "gate_clear_hours": ("clinic_setting_gate_clear_range", 0),
        "gate_warning_hours": ("clinic_setting_gate_warning_range", 25),
        "systolic_limit": ("clinic_setting_systolic_limit_range", 251),
        "diastolic_limit": ("clinic_setting_diastolic_limit_range", 39),
        "therapy_window_hours": ("clinic_setting_therapy_window_range", 721),
    }
    screens, vitals = f"{GATE}/screens", f"{GATE}/vitals"
    return [
        *(
            Mistake(check, name, "PUT", "/v1/settings/gate", GATE_SETTING | {name: value})
            for name, (check, value) in odd.items()
        ),
        Mistake("drug_screen_panel_known", "panel", "POST", screens, a_screen(panel=[])),
        Mistake("drug_screen_positive_in_panel", "positive", "POST", screens, a_screen("opioid")),
        Mistake(
            "drug_screen_result_fits drug_screen_result_known",
            "valid",
            "POST",
            screens,
            a_screen("cocaine", valid=False),
        ),
        Mistake("drug_screen_confirmation_known", "confirmation", "POST", screens, a_screen(confirmation="maybe")),
        Mistake("vital_reading_systolic_range", "systolic", "POST", vitals, a_reading(301)),
        Mistake("vital_reading_diastolic_range", "diastolic", "POST", vitals, a_reading(100, 100)),
        Mistake("vital_reading_diastolic_range", "diastolic", "POST", vitals, a_reading(100, 19)),
        Mistake("vital_reading_pulse_range", "pulse", "POST", vitals, a_reading(pulse=251)),
        *(
            Mistake(
                "contraindication_check_answers_known",
                name,
                "POST",
                f"{GATE}/checklists",
                a_list(**{name: "not_applicable" if name != "pregnancy" else "perhaps"}),
            )
            for name in LIST
        ),
        Mistake("gate_check_reason_given", "reason", "POST", f"{GATE}/hold", {"reason": " "}),
        Mistake("gate_check_clear_is_complete", "", "POST", f"{GATE}/clear", {}),
    ]


def _rest() -> list[Mistake]:
    session, shown = f"{CLIENT}/sessions/{{new}}", "/v1/instruments/phq9/schedule"
    in_a_day = {"planned_at": instant(days=1)}
    return [
        Mistake("therapy_session_minutes_range", "minutes", "PUT", session, in_a_day | {"minutes": 4}),
        Mistake("therapy_session_modality_known", "modality", "PUT", session, in_a_day | {"modality": "yoga"}),
        Mistake("instrument_code_shape", "code", "POST", "/v1/instruments", an_own(code="Own!")),
        Mistake("instrument_version_positive", "version", "POST", "/v1/instruments", an_own(version=0)),
        Mistake("instrument_schedule_every_range", "every_days", "PUT", shown, RHYTHM | {"every_days": 365}),
        Mistake("instrument_schedule_open_range", "open_days", "PUT", shown, RHYTHM | {"open_days": 8}),
        Mistake("instrument_schedule_both_days", "open_days", "PUT", shown, RHYTHM | {"every_days": None}),
        Mistake("instrument_schedule_phase_known", "phase", "PUT", shown, RHYTHM | {"phase": "discharged"}),
        Mistake("cover_period", "until_at", "PUT", "/v1/covers/{new}", COVER | {"until_at": instant(hours=0.5)}),
        Mistake("cover_by_another", "covered_by", "PUT", "/v1/covers/{new}", COVER | {"covered_by": "{me}"}),
        Mistake("shift_period", "until_at", "PUT", "/v1/shifts/{new}", SHIFT | {"until_at": instant(hours=0.5)}),
        Mistake("staff_tempo_known", "tempo", "PUT", "/v1/account/times", {"tempo": "never"}),
        Mistake("staff_first_channel_known", "first_channel", "PUT", "/v1/account/times", {"first_channel": "fax"}),
        Mistake("staff_quiet_whole", "quiet_until", "PUT", "/v1/account/times", {"quiet_from": "22:00"}),
        Mistake(
            "staff_quiet_whole",
            "quiet_until",
            "PUT",
            "/v1/account/times",
            {"quiet_from": "22:00", "quiet_until": "22:00"},
        ),
        Mistake(
            "service_account_name_length", "name", "POST", "/v1/service-accounts", {"name": "", "scopes": ["screens"]}
        ),
        Mistake("service_account_scopes_known", "scopes", "POST", "/v1/service-accounts", {"name": "x", "scopes": []}),
        Mistake("alert_outcome_known", "outcome", "POST", "/v1/alerts/{alert}/resolve", {"outcome": "ignored"}),
        Mistake("alert_resolved_has_outcome", "outcome", "POST", "/v1/alerts/{alert}/resolve", {}),
        Mistake("alert_urgent_never_snoozed", "", "POST", "/v1/alerts/{alert}/snooze",
                {"until": instant(hours=1), "reason": "later"}),
        Mistake("check_in_craving_range", "craving.alcohol", "PUT", "/v1/check-ins/{new}",
                daily(craving={"alcohol": 11})),
        Mistake("check_in_mood_range", "mood", "PUT", "/v1/check-ins/{new}", daily(mood=11)),
        Mistake("check_in_anxiety_range", "anxiety", "PUT", "/v1/check-ins/{new}", daily(anxiety=-1)),
        Mistake("check_in_used_known", "used[0]", "PUT", "/v1/check-ins/{new}", daily(used=["tea"])),
        Mistake("check_in_kind_known", "kind", "PUT", "/v1/check-ins/{new}", daily(kind="weekly")),
        Mistake("instrument_response_answers_object", "answers", "PUT", "/v1/instrument-responses/{new}",
                a_response() | {"answers": []}),
        Mistake("instrument_response_language_shape", "language", "PUT", "/v1/instrument-responses/{new}",
                a_response() | {"language": "Spanish"}),
        Mistake("phone_setting_language_shape", "language", "PUT", "/v1/phone-settings/language", {"language": "1!"}),
        Mistake("phone_setting_reminder_whole", "time_zone", "PUT", "/v1/phone-settings/reminder",
                {"remind_time": "09:00:00"}),
    ]  # fmt: skip


MISTAKES = [*_treatment(), *_gate(), *_rest()]
WITHOUT_A_FIELD = {"gate_check_clear_is_complete", "alert_urgent_never_snoozed"}

OURS = {
    "the verb writes it, no form has it": (
        "alert_acknowledged_has_lease alert_closed_has_time alert_snoozed_has_end alert_state_known"
        " alert_tier_range audit_event_actor_known audit_event_moved_range audit_seal_moved_range"
        " calendar_feed_one_owner check_in_counted_not_after_receipt contraindication_check_error_supersedes"
        " course_event_kind_known course_event_phase_given course_event_reason_of_discharge"
        " course_event_substances_given delivery_about delivery_kind_known delivery_recipient delivery_state_known"
        " device_revoked_why_known device_token_kind_known drug_screen_error_supersedes enrolment_code_wrong_range"
        " finding_tier_has_alert finding_tier_range gate_check_decision_known gate_check_expires"
        " imported_record_known infusion_version_positive instrument_response_counted_not_after_receipt"
        " job_run_state_known one_time_link_purpose_known pause_version_positive reminder_state_known"
        " rule_set_one_reason staff_address_label_length staff_session_stage_known"
        " therapy_session_event_state_known therapy_session_state_known therapy_session_version_positive"
        " trend_status_known vital_reading_error_supersedes webhook_endpoint_previous"
    ),
    "whether it was imported": (
        "alert_origin_known check_in_origin_known check_in_origin_source client_origin_known client_source_pair"
        " finding_origin_known trend_origin_known"
    ),
    "lengths of what is computed; a public key is read as a point before": (
        "audit_seal_bounds audit_seal_hash_lengths audit_seal_marks_length audit_seal_number_positive"
        " device_public_key_length root_key_length root_key_one service_account_token_length staff_address_hash_length"
        " phone_push_endpoint_hash_length"
    ),
    "written on pages only, which choose from what there is: tests/test_desk_admin.py, tests/test_care_team.py": (
        "care_team_member_period care_team_member_role_known client_name_length staff_email_lower staff_language_shape"
        " staff_name_length staff_roles_known"
    ),
    "a command's: tests/test_create_clinic.py": "clinic_name_length clinic_slug_shape",
}


async def _told(house: House, mistake: Mistake) -> str:
    """Status, kind and fields of the answer."""
    body = {
        name: value.format(**house.names) if isinstance(value, str) else value for name, value in mistake.body.items()
    }
    reply = await house.send(mistake.method, mistake.path, body)
    fields = [each["field"] for each in reply.json().get("errors", [])]
    return f"{reply.status_code} {reply.json()['type']} {fields}"


@pytest.mark.parametrize("mistakes", [_treatment(), _gate(), _rest()], ids=["treatment", "gate", "rest"])
async def test_what_a_check_forbids_is_told_to_whoever_wrote_it_by_its_field(
    house: House, mistakes: list[Mistake]
) -> None:
    told = {(mistake.checks, mistake.field): await _told(house, mistake) for mistake in mistakes}
    assert told == {
        (checks, field): f"400 /problems/invalid {[field]}" if field else "409 /problems/conflict []"
        for checks, field in told
    }


CHECKS = """
select conname::text
from pg_constraint
where contype = 'c'
  and conrelid <> 0
  and connamespace = 'public'::regnamespace
"""


async def test_every_check_is_met_by_a_mistake_or_written_by_us_alone(owner_pool: Pool) -> None:
    async with database.across_clinics(owner_pool) as connection:
        there = {str(record["conname"]) for record in await connection.fetch(CHECKS)}
    met = {check for mistake in MISTAKES for check in mistake.checks.split()}
    ours = {check for checks in OURS.values() for check in checks.split()}
    assert met & ours == set()
    assert there == met | ours


async def test_a_value_that_slips_past_the_edge_is_still_told_by_its_field() -> None:
    met = {check for mistake in MISTAKES for check in mistake.checks.split()}
    assert met - set(errors.CONSTRAINTS) == set()
    for check in met - WITHOUT_A_FIELD:
        meant = errors.of_constraint(check)
        assert isinstance(meant, errors.Invalid), check
        assert meant.fields, check


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/clients/{client}/infusions/{shared}", {"planned_at": instant(days=3)}),
        ("/v1/clients/{client}/schedules/{shared}", PLAN),
        ("/v1/clients/{client}/pauses/{shared}", {"from_on": day(20), "reason": "travel"}),
        ("/v1/clients/{client}/sessions/{shared}", {"planned_at": instant(days=2)}),
        ("/v1/clients/{client}/courses/{shared}", {"substances": ["alcohol"], "started_on": day(0)}),
        ("/v1/check-ins/{shared}", daily()),
        ("/v1/instrument-responses/{shared}", a_response()),
    ],
)
async def test_an_id_that_another_client_s_record_has_is_refused_as_in_use(
    house: House, path: str, body: dict[str, object]
) -> None:
    house.names["shared"] = ids.new()
    if "courses" in path:
        for client in ("{client}", "{other}"):
            ended = {"last_day": day(-1), "reason": "completed"}
            assert (await house.send("POST", f"/v1/clients/{client}/course/discharge", ended)).status_code == 200
    first = await house.send("PUT", path, body)
    assert first.status_code == 201, first.text
    again = await house.send("PUT", path.replace("{client}", "{other}"), body, phone=1)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/conflict"), again.text
