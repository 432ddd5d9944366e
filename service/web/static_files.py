"""Files for browsers, by name: for good under the release of them all, and plainly for whoever must ask every time."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.people.access import Permission
from service.web.services import Services


@get("/static/{name:path}", opt={"access": Permission.COME_IN}, include_in_schema=False)
async def get_static_file(
    request: Request[Any, Any, Any], services: NamedDependency[Services], name: FromPath[str]
) -> Response[bytes]:
    """One file; 304 where the browser has it."""
    release, _, rest = name.lstrip("/").partition("/")
    assets = services.pages.assets
    asset = assets.get(rest if assets.is_release(release) else name.lstrip("/"))
    headers = {
        "ETag": asset.etag,
        "Cache-Control": assets.caching(release),
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == asset.etag:
        return Response(b"", status_code=304, media_type=asset.media_type, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def worker(services: Services, name: str) -> Response[bytes]:
    """A service worker's script: asked for anew each time, and at home below the address that serves it."""
    asset = services.pages.assets.get(name)
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "ETag": asset.etag}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


ROUTES = (get_static_file,)
