"""Files for browsers, by name: for good under the release of them all, and plainly for whoever must ask every time."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.people.access import Permission
from service.web import compression
from service.web.assets import ASK_EVERY_TIME, Asset
from service.web.services import Services


@get("/static/{name:path}", opt={"access": Permission.COME_IN}, include_in_schema=False)
async def get_static_file(
    request: Request[Any, Any, Any], services: NamedDependency[Services], name: FromPath[str]
) -> Response[bytes]:
    """One file; 304 where the browser has it. The phone keeps it where the release it names is this server's."""
    release, _, rest = name.lstrip("/").partition("/")
    assets = services.pages.assets
    asset = assets.get(rest if assets.is_release(release) else name.lstrip("/"))
    reply = _reply(request, asset, caching=assets.caching(release))
    # Not by Cache-Control, which what stands before a server often sets itself.
    reply.headers["Neap-Release"] = assets.release
    return reply


def worker(request: Request[Any, Any, Any], services: Services, name: str) -> Response[bytes]:
    """A service worker's script: asked for anew each time, and at home below the address that serves it."""
    return _reply(request, services.pages.assets.get(name), caching=ASK_EVERY_TIME)


def _reply(request: Request[Any, Any, Any], asset: Asset, *, caching: str) -> Response[bytes]:
    headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff", **compression.VARIES}
    content, etag = asset.content, asset.etag
    if asset.compressed is not None and compression.accepts(request):
        # Other bytes, another name for them.
        content, etag = asset.compressed, asset.etag.removesuffix('"') + '-gzip"'
        headers |= compression.ENCODED
    headers["ETag"] = etag
    if request.headers.get("if-none-match") == etag:
        return Response(b"", status_code=304, media_type=asset.media_type, headers=headers)
    return Response(content, media_type=asset.media_type, headers=headers)


ROUTES = (get_static_file,)
