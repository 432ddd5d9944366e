"""A receiver of Neap's webhooks: verifies the signature, drops what came twice, answers when the work is done.

    pip install standardwebhooks
    NEAP_WEBHOOK_SECRET=whsec_… python webhook_receiver.py 8081

The secret is shown once, when an admin adds the address on the page Settings. A message says that there is an alert, by
its id; never which client, or why. Put a proxy with TLS before it: Neap sends to public https addresses only.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from standardwebhooks import Webhook, WebhookVerificationError

MOST_BYTES = 64 * 1024
REMEMBERED = 10_000


class Receiver(BaseHTTPRequestHandler):
    """One message a request. Neap repeats what was not answered by 2xx within ten seconds, with the same webhook-id."""

    webhook = Webhook(os.environ["NEAP_WEBHOOK_SECRET"])
    # What was worked on to the end. Who must not forget it at a restart keeps it with the work, in a database.
    done: ClassVar[OrderedDict[str, None]] = OrderedDict()
    working: ClassVar[threading.Lock] = threading.Lock()

    def do_POST(self) -> None:
        """Verify, drop a second copy, act, answer."""
        length = int(self.headers.get("content-length") or 0)
        if length > MOST_BYTES:
            return self.answer(413)
        body = self.rfile.read(length)
        try:
            # Raises, too, for a message older than five minutes: nobody can send an old one again.
            self.webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            return self.answer(400)
        return self.answer(self.worked_on(self.headers["webhook-id"], body))

    def worked_on(self, webhook_id: str, body: bytes) -> int:
        """The status to answer: 204 once the work is done; 500 where it failed, so that Neap sends it again."""
        # One at a time: a repeat that comes while the first is worked on waits for how that ends.
        with self.working:
            if webhook_id in self.done:
                return 204
            try:
                self.received(json.loads(body))
            except Exception:  # noqa: BLE001 - whatever it was, Neap is to send it again
                traceback.print_exc()
                return 500
            self.done[webhook_id] = None
            if len(self.done) > REMEMBERED:
                self.done.popitem(last=False)
            return 204

    def received(self, message: dict[str, object]) -> None:
        """Whatever the clinic does with it: here a line on standard output. Raises where that cannot be done now."""
        print(json.dumps(message), flush=True)  # noqa: T201

    def answer(self, status: int) -> None:
        """A status without a body."""
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 — the name of http.server
        """No line a request: the message itself is the news."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8081), Receiver)
    print(f"listening on port {server.server_port}", file=sys.stderr, flush=True)  # noqa: T201
    server.serve_forever()
