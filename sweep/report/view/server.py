"""A server on the loopback address that shows one run to whoever knows its token.

Any program and any web page on this machine can reach a loopback address. The address of the page therefore holds a
random token, without which every answer is 403; a name that leads to 127.0.0.1 by a foreign name server (DNS
rebinding) is refused by the `Host` that it sends; and no other origin may read an answer, since none is allowed to.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from aesweep.process.errors import AesweepError, RunFolderError
from aesweep.report.view.run_view import RunView
from aesweep.storage.run_folder import RunFolder

ADDRESS = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# A file of a run is shown, and can do nothing.
FILE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_FILE = re.compile(r"[A-Za-z0-9._-]+\.(csv|svg|png)")
_TYPES = {"csv": "text/csv", "svg": "image/svg+xml", "png": "image/png"}
BRING_EVERY_S = 2.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(folder: RunFolder, token: str) -> web.Application:
    """Returns the application that serves a run.

    Args:
        folder: the run.
        token: what every address has to begin with.
    """
    view = RunView(folder)
    # A page takes seconds to draw, during which rows are still shown.
    drawing, reading = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=await loop().run_in_executor(drawing, view.page), content_type="text/html")

    async def updates(request: web.Request) -> web.Response:
        after = request.query.get("after", "")
        if not re.fullmatch(r"-?\d{1,12}", after):
            raise web.HTTPBadRequest(text="expected ?after=NUMBER, the number of an event\n")
        text = await loop().run_in_executor(reading, view.updates, int(after))
        return web.Response(text=text, content_type="application/json")

    async def file(request: web.Request) -> web.Response:
        part, name = request.match_info["part"], request.match_info["name"]
        path = {"tables": folder.tables, "figures": folder.figures}[part] / name
        match = _FILE.fullmatch(name)
        is_own = match and path.is_file() and not path.is_symlink() and not path.parent.is_symlink()
        if not is_own:
            raise web.HTTPNotFound(
                text="There is no such file yet: `aesweep report` writes it, and a run at its end.\n"
            )
        headers = {"Content-Security-Policy": FILE_POLICY}
        return web.Response(body=path.read_bytes(), content_type=_TYPES[match[1]], headers=headers)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _answer(request, handler, token)
        response.headers.update(HEADERS)
        return response

    async def close(_: web.Application) -> None:
        for pool in (drawing, reading):
            pool.shutdown(wait=False, cancel_futures=True)

    app = web.Application(middlewares=[guard])

    async def slash(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"/{token}/")

    app.router.add_get("/{token}", slash)
    app.router.add_get("/{token}/", page)
    app.router.add_get("/{token}/updates", updates)
    app.router.add_get("/{token}/{part:tables|figures}/{name}", file)
    app.on_cleanup.append(close)
    return app


async def _answer(request: web.Request, handler: Handler, token: str) -> web.StreamResponse:
    given = request.path.split("/")[1]
    is_known = hmac.compare_digest(given.encode(errors="replace"), token.encode())
    if not is_known or not _is_own_host(request):
        return web.Response(status=403, text="Forbidden: open the address that `aesweep view` printed.\n")
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        return web.Response(status=error.status, text=error.text)
    except AesweepError as error:
        return web.Response(status=500, text=f"error: {error}\n")


def _is_own_host(request: web.Request) -> bool:
    """Returns whether the browser asked for this machine by its address, or as localhost."""
    port = request.transport.get_extra_info("sockname")[1] if request.transport else None
    return request.host in {f"{ADDRESS}:{port}", f"localhost:{port}"}


async def serve(
    folder: RunFolder, port: int, announce: Callable[[str], None], bring: Callable[[], None] | None = None
) -> None:
    """Serves a run until the task is cancelled or the process is interrupted.

    Args:
        folder: the run.
        port: the port; 0 for any that is free.
        announce: is called with the page's address once it can be opened.
        bring: brings what a storage holds of the run, if it grows there; called every `BRING_EVERY_S`.

    Raises:
        RunFolderError: the port cannot be had.
    """
    token = secrets.token_urlsafe(24)
    runner = web.AppRunner(application(folder, token), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, ADDRESS, port).start()
        except OSError as error:
            raise RunFolderError(
                f"{ADDRESS}:{port} cannot be listened on: {error.strerror}: give another --port, or none for any that "
                "is free"
            ) from error
        announce(f"http://{ADDRESS}:{runner.addresses[0][1]}/{token}/")
        while True:
            await asyncio.sleep(BRING_EVERY_S)
            if bring is not None:
                await asyncio.to_thread(bring)
    finally:
        await runner.cleanup()
