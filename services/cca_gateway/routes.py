"""Every route, in one table: the HTTP router and the OpenAPI document are both made from it."""

from cca_gateway.route import Route
from cca_gateway.table import code, context, fleet, learning, memory, tasks, tokens, watching

BASE = "/api/v1"

ROUTES: tuple[Route, ...] = (
    *tasks.ROUTES,
    *fleet.ROUTES,
    *learning.ROUTES,
    *tokens.ROUTES,
    *context.ROUTES,
    *memory.ROUTES,
    *code.ROUTES,
    *watching.ROUTES,
)
