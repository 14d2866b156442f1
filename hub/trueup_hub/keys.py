"""What handlers find in the application and in a request."""

import asyncio

from aiohttp import web

from trueup_hub.admission import Admission, Turns
from trueup_hub.auth import Auth, Caller
from trueup_hub.db import Database
from trueup_hub.live import Live
from trueup_hub.params import Query
from trueup_hub.route import Route
from trueup_hub.settings import HubSettings
from trueup_hub.telemetry import Telemetry

SETTINGS = web.AppKey("settings", HubSettings)
DATABASE = web.AppKey("database", Database)
AUTH = web.AppKey("auth", Auth)
ADMISSION = web.AppKey("admission", Admission)
TURNS = web.AppKey("turns", Turns)
TELEMETRY = web.AppKey("telemetry", Telemetry)
LIVE = web.AppKey("live", Live)
ROUTES = web.AppKey("routes", tuple[Route, ...])
STOPPING = web.AppKey("stopping", asyncio.Event)  # set by the first signal; streams end

CALLER = web.RequestKey("caller", Caller)
ROUTE = web.RequestKey("route", Route)
BEGUN = web.RequestKey("begun", bool)  # the answer is on its way: another cannot be given any more
REQUEST_ID = web.RequestKey("request_id", str)
QUERY = web.RequestKey("query", Query)  # of routes that declare what they take
