"""OHIF under ``/ohif/``: files of the viewer, for who may see images with names.

In: requests.  Out: files as they were set up; our own ``app-config.js``.
Never: a file beyond the viewer's folder; images (those go through DICOMweb, with its own doors).
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from wetread.identity import Permission
from wetread.web.access import needs
from wetread.web.ohif.prepare import VERSION
from wetread.web.site import Site

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonc": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
#: Names that hold a digest of what is in them.
_NAMED_BY_CONTENT = re.compile(r"(^|\.)[0-9a-f]{16}\.(js|wasm)$")
_CONFIG = Path(__file__).with_name("app-config.js")


def make_ohif(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/ohif/{path:path}")
    @needs(Permission.STUDIES, Permission.IDENTITY, is_background=True)
    def viewer(request: Request, path: str) -> Response:
        folder = site.ohif
        if folder is None:
            raise HTTPException(404)
        return _answer(request, _CONFIG if path == "app-config.js" else _find(folder, path))

    return router


def _find(folder: Path, path: str) -> Path:
    """Return a file of the viewer; an address of its own, which has no ending, is its page."""
    place = PurePosixPath(path)
    if not place.suffix:
        return folder / "index.html"
    file = folder.joinpath(*place.parts)
    is_plain = "\0" not in path and "\\" not in path and ".." not in place.parts and not place.is_absolute()
    if not is_plain or place.suffix not in _TYPES or not file.is_file():
        raise HTTPException(404)
    return file


def _answer(request: Request, file: Path) -> Response:
    is_lasting = bool(_NAMED_BY_CONTENT.search(file.name))
    packed = file.with_name(f"{file.name}.gz")
    is_packed = "gzip" in request.headers.get("accept-encoding", "") and packed.is_file()
    status = file.stat()
    etag = f'"{VERSION}-{status.st_size:x}-{status.st_mtime_ns:x}-{"gz" if is_packed else "plain"}"'
    headers = {
        # It is the same for everybody, and 17 MB of it come before the first image.
        "Cache-Control": "private, max-age=31536000, immutable" if is_lasting else "private, no-cache",
        "Vary": "Accept-Encoding",
        "ETag": etag,
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if is_packed:
        headers["Content-Encoding"] = "gzip"
    return FileResponse(packed if is_packed else file, media_type=_TYPES[file.suffix], headers=headers)
