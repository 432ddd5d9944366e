"""How far a new clinic is: each step is done when its facts are there, so it can be left and resumed anywhere."""

from __future__ import annotations

import msgspec

from service.database import Db


class FirstSteps(msgspec.Struct, frozen=True, kw_only=True):
    """Which steps of a clinic's first hour are done; counts and yes or no, nothing of any client."""

    told: bool
    staffed: bool
    on_call: bool
    has_client: bool
    has_code: bool
    rules_chosen: bool

    @property
    def open(self) -> int:
        """How many are still to be done."""
        return sum(not getattr(self, name) for name in self.__struct_fields__)


FIRST_STEPS = """
select
  exists (select from clinic_setting_former where clinic_id = $1) as told,
  (select count(*) from staff where clinic_id = $1 and disabled_at is null) > 1 as staffed,
  exists (select from shift where clinic_id = $1) as on_call,
  exists (select from client where clinic_id = $1) as has_client,
  exists (select from enrolment_code where clinic_id = $1)
    or exists (select from device where clinic_id = $1) as has_code,
  exists (select from rule_set where clinic_id = $1 and version > 1) as rules_chosen
"""


async def read(db: Db) -> FirstSteps:
    """How far the clinic is."""
    return await db.get(FirstSteps, FIRST_STEPS, db.clinic_id)
