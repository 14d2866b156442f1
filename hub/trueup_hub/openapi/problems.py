"""Every code of an error, with its status and what it means: what documents say, checked against the code by a test."""

from msgspec import Struct

from trueup_hub.route import Route


class Problem(Struct, frozen=True, kw_only=True):
    """What every error looks like (RFC 9457). `code` is stable; some errors have further members beside these."""

    type: str  # urn:trueup:problem: and the code
    title: str
    status: int
    detail: str  # what was wrong and what to do, for people
    code: str
    request_id: str  # in every line of the hub's log about the request


CODES: dict[str, tuple[int, str]] = {
    "malformed": (400, "The body is not what the route takes."),
    "bad_request": (400, "The request is not HTTP as it should be."),
    "bad_parameter": (400, "A parameter has a value that it cannot have."),
    "unknown_parameter": (400, "The route does not take that parameter; `detail` lists those that it takes."),
    "unknown_value": (400, "The hub knows no such host, label, harness, project, model or provider: `values`."),
    "unsupported_metric": (400, "The route cannot tell that metric; `supported` lists those that it can."),
    "too_many_points": (400, "The answer would have more points or rows than `limit`."),
    "bad_label": (400, "A name is not one printable line of 1 to 120 characters, or that of a label has a colon."),
    "bad_secret": (400, "The agent's secret is not 32 bytes."),
    "unsupported_protocol": (400, "The hub speaks the protocols in `supported`."),
    "unsupported_digest_set": (400, "The hub knows the digest sets in `supported`."),
    "unauthorized": (401, "A valid token, session or credential is needed."),
    "revoked": (401, "The access of this host was revoked."),
    "unknown_code": (403, "There is no such enrolment code."),
    "code_expired": (403, "The enrolment code has expired."),
    "forbidden": (403, "The token or session does not have the rights for this."),
    "wrong_origin": (403, "A browser sent this from a page of another origin."),
    "not_found": (404, "There is nothing by that name."),
    "method_not_allowed": (405, "The route has other methods: `Allow`."),
    "position_mismatch": (409, "The hub is elsewhere with that ledger: `position`."),
    "code_used": (409, "The enrolment code was used by another machine."),
    "too_many_ledgers": (409, "The host has had as many ledgers as a host can have."),
    "too_many_rejected": (409, "More rows of the ledger were rejected than an agent without pages can be told."),
    "retired": (409, "The host was retired: its agent cannot be asked."),
    "forgotten": (409, "The host is being forgotten."),
    "no_ledger": (409, "The host has not sent anything yet."),
    "agent_too_old": (409, "The agent of the host is too old to be asked."),
    "too_large": (413, "The body is larger than `limit`."),
    "too_many_rows": (413, "The batch has more rows than `limit`."),
    "uri_too_long": (414, "The address is longer than `limit` characters, its query included."),
    "unsupported_media_type": (415, "The body must be JSON or msgpack, and say so."),
    "unsupported_encoding": (415, "The body is packed in a way that the hub cannot unpack."),
    "wrong_host": (421, "The hub does not answer to that name: setting `allowed_hosts`."),
    "too_many_requests": (429, "Ask again after `Retry-After` seconds."),
    "internal": (500, "An error of the hub, whose log has it under the `X-Request-Id` of the answer."),
    "busy": (503, "Ask again after `Retry-After` seconds."),
    "timeout": (503, "The answer took too long."),
    "database_unavailable": (503, "The hub cannot reach its database."),
    "stopping": (503, "The hub is stopping."),
}
ELSEWHERE = {"revoked": 403}  # codes that have another status in some routes

_ALWAYS = ("bad_request", "uri_too_long", "wrong_host", "internal", "busy", "timeout", "database_unavailable")


def codes_of(route: Route) -> dict[int, list[str]]:
    """By status, every code with which the route may refuse."""
    codes = [*_ALWAYS, *route.refuses]
    if route.takes is not None:
        codes.append("unknown_parameter")
    for parameter in route.takes or ():
        codes.append("unknown_value" if parameter.kind in ("list", "dimension") else parameter.code)
        codes.append("bad_parameter")
    if route.in_path:
        codes.append("not_found")
    if route.need != "nobody":
        codes += ["unauthorized", "revoked", "forbidden"]
    if route.method != "GET":
        codes.append("wrong_origin")
    if route.sent is not None:
        codes += ["malformed", "too_large", "unsupported_media_type", "unsupported_encoding"]
    found: dict[int, list[str]] = {}
    for code in CODES:
        if code in codes:
            status = ELSEWHERE.get(code, CODES[code][0]) if route.need == "nobody" else CODES[code][0]
            found.setdefault(status, []).append(code)
    return found
