"""Access to the server: its own page, and programs that hold its token. Checked before any route.

A server on the loopback address is open to every page in the user's browser, and by a name that is made to point there (DNS
rebinding) even to be read by it. So a request must name this server as its host, come from this server's own page or from no
page at all, and carry the token that only the printed address holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import compare_digest

__all__ = ["TOKEN_HEADER", "Guard", "policy"]

NAMES = ("127.0.0.1", "localhost", "[::1]")
TOKEN_HEADER = "x-latens-token"  # noqa: S105 - its name, and no token


@dataclass(frozen=True)
class Guard:
    """The checks that every request must pass.

    Args:
        token: the secret of this server.
        port: that it listens on; None takes any, for tests and for servers behind one that checks.
    """

    token: str
    port: int | None = None

    def refuse(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Why a request is refused; empty where it is allowed."""
        host = headers.get("host", "")
        name, _, port = host.rpartition(":")
        if name not in NAMES or (self.port is not None and port != str(self.port)):
            return "the Host header does not name this server"
        navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "the request comes from another origin"
        # A frame in a notebook is a navigation from another site: the token in its address is what lets it in.
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not navigates:
            return "the request comes from another site"
        shown = (
            headers.get(TOKEN_HEADER, "")
            if path.startswith(("/api/", "/beside/"))
            else path.strip("/").partition("/")[0]
        )
        if not compare_digest(shown.encode(), self.token.encode()):
            return "the token is missing or wrong; open the address that latens printed"
        return ""


def policy(ancestors: Sequence[str] = ()) -> dict[str, str]:
    """The headers of every answer: only this server's own files run or are asked, and only `ancestors` may frame the page."""
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "worker-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": " ".join(ancestors) or "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in rules.items()),
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
