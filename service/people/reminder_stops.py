"""The way out of reminders by e-mail, for whoever gets them: a link in each letter, without a phone or signing in.

An address may be mistyped, and somebody else's then; a phone may be gone. Nothing is stored for the link: it proves
that one had a letter to this address, by a keyed hash that is made again when somebody follows it.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from service.database import Db
from service.keys import tokens
from service.keys.sealing import Sealer
from service.people import audit, phone_settings

PURPOSE = "stop of reminders by e-mail"


def path_of(master: Sealer, clinic_id: UUID, client_id: UUID, email: str) -> str:
    """Where whoever gets letters to this address ends them; the same in every letter to it."""
    return f"/reminders/{client_id}/stop/{_token(master, clinic_id, client_id, email)}"


async def stop(db: Db, master: Sealer, client_id: UUID, token: tokens.Token, *, now: datetime) -> None:
    """Send no more e-mail to the address that the token is of. One that is not kept any more gets none anyway."""
    sealed = (await phone_settings.of(db, client_id)).email_sealed
    email = await phone_settings.email_of(db, master, client_id, sealed)
    if sealed is None or email is None:
        return
    if tokens.digest_of(_token(master, db.clinic_id, client_id, email)) != token.digest:
        return
    await phone_settings.forget_email(db, client_id, sealed, now=now)
    await audit.record(db, audit.ANONYMOUS, "reminder.stop_email", client_id=client_id, now=now)


def _token(master: Sealer, clinic_id: UUID, client_id: UUID, email: str) -> str:
    secret = master.keyed_hash(f"{clinic_id}:{client_id}:{email}".encode(), purpose=PURPOSE)
    return tokens.text_of("stop", clinic_id, secret)
