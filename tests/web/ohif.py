"""OHIF as it comes from npm, served beside our DICOMweb: its own data source asks us."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

VERSION = "3.13.2"
SHA256 = "b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1"
NPM = shutil.which("npm")
CONFIG = """
window.config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false, investigationalUseDialog: { option: 'never' }, maxNumberOfWebWorkers: 1,
  defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'Wetread', name: 'wetread', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      wadoUriRoot: '/wado', qidoSupportsIncludeField: true,
      imageRendering: 'wadors', thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true, supportsFuzzyMatching: true, supportsWildcard: true,
      bulkDataURI: { enabled: true }, omitQuotationForMultipartRequest: true,
    },
  }],
};
"""


def have_ohif() -> Path:
    """Return the folder of the built viewer; it is got from npm once for each machine, and checked."""
    folder = Path(tempfile.gettempdir()) / f"wetread-ohif-{VERSION}-{os.getuid()}"
    if (folder / "index.html").is_file():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        assert NPM
        pack = [NPM, "pack", f"@ohif/app@{VERSION}", "--silent", "--pack-destination", str(work)]
        subprocess.run(pack, check=True, capture_output=True, timeout=300)
        [archive] = work.glob("*.tgz")
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data")
        dist = work / "package" / "dist"
        shutil.rmtree(dist / "ort", ignore_errors=True)
        for path in dist.rglob("*.map"):
            path.unlink()
        (dist / "app-config.js").write_text(CONFIG)
        shutil.move(dist, folder)
    return folder


class WithViewer:
    """ASGI: the viewer, and our application for what the viewer asks."""

    def __init__(self, ours: FastAPI, folder: Path) -> None:
        self._ours: ASGIApp = ours
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or path.startswith(("/dicom-web", "/wado")):
            await self._ours(scope, receive, send)
            return
        file = (self._folder / path.lstrip("/")).resolve()
        if not file.is_relative_to(self._folder) or not file.is_file():
            # Its own addresses have no ending: they are the application's.
            file = self._folder / "index.html"
            if Path(path).suffix:
                await Response(status_code=404)(scope, receive, send)
                return
        media_type = "text/javascript" if file.suffix == ".js" else None
        await FileResponse(file, media_type=media_type)(scope, receive, send)
