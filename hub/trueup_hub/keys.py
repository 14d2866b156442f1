"""What handlers find in the application and in a request."""

import asyncio

from aiohttp import web

from trueup_hub.admission import Admission
from trueup_hub.auth import Auth, Caller
from trueup_hub.db import Database
from trueup_hub.live import Live
from trueup_hub.params import Query
from trueup_hub.settings import HubSettings

SETTINGS = web.AppKey("settings", HubSettings)
DATABASE = web.AppKey("database", Database)
AUTH = web.AppKey("auth", Auth)
ADMISSION = web.AppKey("admission", Admission)
LIVE = web.AppKey("live", Live)
STOPPING = web.AppKey("stopping", asyncio.Event)  # set by the first signal; streams end

CALLER = web.RequestKey("caller", Caller)
REQUEST_ID = web.RequestKey("request_id", str)
QUERY = web.RequestKey("query", Query)  # of routes that declare what they take
