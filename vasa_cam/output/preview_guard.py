"""Who may talk to the preview server: this machine's user, and nobody's web page.

It listens on 127.0.0.1 only. That alone does not keep web pages out that run in the same browser,
so every request must name a loopback host (a domain that was pointed at 127.0.0.1 does not), must
not come from another origin, and must bring the token of this run for everything but the empty
pages. The token travels in the address once; the page then keeps it to itself. It is no cookie,
because browsers send those to every port of a host.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Checks of one server. token: of this run. port: what it listens on, set before it serves."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.port = 0

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a Host header may say."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    def refuse(self, request: web.Request, needs_token: bool) -> web.Response | None:
        """The answer to a request that may not be served; None for one that may."""
        if request.headers.get("Host", "").lower() not in self.hosts:
            return plain(421, "this server is only reached as 127.0.0.1 or localhost")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self.hosts}:
            return plain(403, "requests from other web pages are refused")
        if needs_token and not self._knows_token(request):
            return plain(
                401, "the token is missing or of another run; open the link that vasa-cam printed"
            )
        return None

    def protect(self, response: web.StreamResponse) -> None:
        """Add the headers that keep the page to itself."""
        sockets = " ".join(f"ws://{host}" for host in self.hosts)
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = _POLICY.format(sockets=sockets)

    def _knows_token(self, request: web.Request) -> bool:
        """The token comes as "Authorization: Bearer TOKEN", or as ?token= where headers cannot."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.query.get("token", "")
        return hmac.compare_digest(given.strip().encode(), self.token.encode())


class Bucket:
    """So much a second on average, `burst` of it at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level = burst
        self._at_s = time.monotonic()

    def take(self, amount: float = 1.0) -> float:
        """Take an amount; returns how many seconds too early that was, 0 when it was allowed.

        What was too early is not taken.
        """
        now_s = time.monotonic()
        self._level = min(self._burst, self._level + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if amount <= self._level:
            self._level -= amount
            return 0.0
        return (amount - self._level) / self._rate


def plain(status: int, sentence: str) -> web.Response:
    """A refusal in one line."""
    return web.Response(status=status, text=sentence + "\n")
