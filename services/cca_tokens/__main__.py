"""`python -m cca_tokens`: everything that the token service listens to, on one screen."""

import asyncio
from contextlib import AsyncExitStack

from cca.config import Settings
from cca.contracts.ledger import (
    GetRecommendations,
    GetTokenMetrics,
    GetTokenPolicies,
    Recommendations,
    SetTokenPolicy,
    TokenMetrics,
    TokenPolicies,
)
from cca.contracts.tokens import (
    Analysis,
    AnalyzeTokens,
    Compressed,
    CompressTokens,
    CondenseContext,
    Condensed,
    CountTokens,
    Expanded,
    ExpandText,
    TokenCounts,
)
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog
from cca.nats.micro import Service
from cca.pool.pool import Pool
from cca.postgres import tables
from cca.service import run
from cca_tokens.answers import Answers
from cca_tokens.jobs import PRELOAD, WORK
from cca_tokens.ledger import Ledger
from cca_tokens.policies import TOKENS, TokenPolicyBoard
from cca_tokens.potential import Potential


async def start(settings: Settings, service: Service, bus: Bus, stack: AsyncExitStack) -> None:
    """Answer questions. The processes that count are there when the first is asked."""
    log = JetStreamLog(bus, settings.log.batch_from)
    pool, policies = Pool(WORK, PRELOAD), TokenPolicyBoard(bus, log, TOKENS)
    ledger = Ledger(await stack.enter_async_context(tables.connect(settings.postgres, "cca_tokens")), Potential(pool))
    answers = Answers(bus, log, pool, policies, ledger)
    stack.push_async_callback(answers.close)
    stack.push_async_callback(pool.close)
    repairing = asyncio.create_task(_repair(policies, pool))

    async def stop() -> None:
        repairing.cancel()
        await asyncio.gather(repairing, return_exceptions=True)

    stack.push_async_callback(stop)

    await service.serve(subjects.RPC_TOKENS_COUNT, CountTokens, answers.count, TokenCounts)
    await service.serve(subjects.RPC_TOKENS_ANALYZE, AnalyzeTokens, answers.analyze, Analysis)
    await service.serve(subjects.RPC_TOKENS_COMPRESS, CompressTokens, answers.compress, Compressed)
    await service.serve(subjects.RPC_TOKENS_CONDENSE, CondenseContext, answers.condense, Condensed)
    await service.serve(subjects.RPC_TOKENS_EXPAND, ExpandText, answers.expand, Expanded)
    await service.serve(subjects.RPC_TOKENS_POLICIES, GetTokenPolicies, answers.policies, TokenPolicies)
    await service.serve(subjects.RPC_TOKENS_SET_POLICY, SetTokenPolicy, answers.set_policy, TokenPolicies)
    await service.serve(subjects.RPC_TOKENS_METRICS, GetTokenMetrics, answers.metrics, TokenMetrics)
    await service.serve(subjects.RPC_TOKENS_RECOMMEND, GetRecommendations, answers.recommend, Recommendations)


async def _repair(policies: TokenPolicyBoard, pool: Pool) -> None:
    """Let routers know what the log says; where they will ask, the first is not to wait for a process."""
    if (await policies.keep_repairing()).roles:
        await pool.warm()


if __name__ == "__main__":
    run("cca_tokens", "How many tokens a text is, and the same text in fewer.", start)
