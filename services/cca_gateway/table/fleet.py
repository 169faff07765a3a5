"""The routes of agents: who is there, and what they do."""

from cca.contracts.agent import Agents
from cca_gateway import agents
from cca_gateway.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/agents",
        handle=agents.roster,
        summary="The live agents",
        query=agents.RosterQuery,
        answers={200: Agents},
    ),
    Route(
        method="GET",
        path="/roles",
        handle=agents.roles,
        summary="Every role that has been seen: its live agents, its tasks by state",
        answers={200: agents.Roles},
    ),
    Route(
        method="GET",
        path="/workloads",
        handle=agents.workloads,
        summary="How busy each lane is, and how its tasks have ended",
        answers={200: agents.Workloads},
    ),
    Route(
        method="GET",
        path="/activity",
        handle=agents.activity,
        summary="What each live agent is doing",
        answers={200: agents.Activity},
    ),
)
