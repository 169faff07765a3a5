"""What the token service answers. Whatever looks at text is done in a process of the pool."""

from collections import Counter
from collections.abc import Mapping

from cca import codec
from cca.contracts.ledger import (
    GetRecommendations,
    GetTokenMetrics,
    GetTokenPolicies,
    Recommendations,
    SetTokenPolicy,
    TokenMetrics,
    TokenPolicies,
    TokensCompressed,
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
from cca.errors import Refused
from cca.message import Meta
from cca.nats.blobs import About, Blobs
from cca.nats.bus import HEADROOM, Bus
from cca.nats.log import JetStreamLog
from cca.pool.pool import Pool
from cca.storable import text_without_nul
from cca_tokens.corrections import Corrections
from cca_tokens.expand import Expander
from cca_tokens.jobs import Condensation, Folds, Job, Original
from cca_tokens.ledger import Ledger
from cca_tokens.policies import TokenPolicyBoard
from cca_tokens.record import Record


class Answers:
    """One method for each question."""

    def __init__(self, bus: Bus, log: JetStreamLog, pool: Pool, policies: TokenPolicyBoard, ledger: Ledger) -> None:
        self._bus, self._pool, self._policies, self._ledger = bus, pool, policies, ledger
        self._blobs, self._record = Blobs(bus), Record(bus, log)
        self._expander = Expander(self._blobs, self._record)
        self._corrections = Corrections(ledger)

    # ------------------------------------------------------------------------------------ text

    async def count(self, command: CountTokens, meta: Meta) -> TokenCounts:
        return await self._pool.done(
            Job("count", codec.encode(command), self._corrections.of(command.model)), TokenCounts
        )

    async def analyze(self, command: AnalyzeTokens, meta: Meta) -> Analysis:
        return await self._pool.done(
            Job("analyze", codec.encode(command), self._corrections.of(command.how.model)), Analysis
        )

    async def compress(self, command: CompressTokens, meta: Meta) -> Compressed:
        """Answered when the originals are stored and the log knows of it."""
        folds = await self._pool.done(
            Job("compress", codec.encode(command), self._corrections.of(command.how.model)), Folds
        )
        self._see_that_it_fits(folds.size)
        await self._store(folds.originals, command.role)
        reply = folds.reply
        event = TokensCompressed(
            ref=reply.original,
            model=text_without_nul(reply.model),
            before=reply.before,
            after=reply.after,
            saved=reply.saved,
            cuts=dict(Counter(cut.strategy for cut in reply.cuts)),
            level=command.how.level,
            role=command.role,
            agent=_name(command.agent),
            task=_name(command.task),
            requester=_name(command.requester),
        )
        await self._record.append(reply.original, event, meta)
        return reply

    async def condense(self, command: CondenseContext, meta: Meta) -> Condensed:
        """Answered when the originals are stored. That it was done is recorded by who asks, with the task."""
        policies = await self._policies.current()
        policy = policies.of(command.role)
        if policy is None:
            return Condensed(version=policies.version)
        correction = self._corrections.of(policy.model)
        job = Job("condense", codec.encode(command), correction, policy, policies.version)
        found = await self._pool.done(job, Condensation)
        self._see_that_it_fits(found.size)
        await self._store(found.originals, command.role)
        return found.reply

    async def expand(self, command: ExpandText, meta: Meta) -> Expanded:
        return await self._expander.expand(command, meta, self._bus.nc.max_payload - HEADROOM)

    # ------------------------------------------------------------------------------------ policies

    async def policies(self, command: GetTokenPolicies, meta: Meta) -> TokenPolicies:
        return (await self._policies.current()).snapshot()

    async def set_policy(self, command: SetTokenPolicy, meta: Meta) -> TokenPolicies:
        """Answered when routers can read it."""
        if command.policy is not None and command.policy.strategies is not None:
            await self._pool.done(Job("check", policy=command.policy), type(None))
        return (await self._policies.set(command, meta)).snapshot()

    # ------------------------------------------------------------------------------------ the ledger

    async def metrics(self, command: GetTokenMetrics, meta: Meta) -> TokenMetrics:
        return await self._ledger.metrics(command)

    async def recommend(self, command: GetRecommendations, meta: Meta) -> Recommendations:
        return await self._ledger.recommend(command)

    # ------------------------------------------------------------------------------------ parts

    async def close(self) -> None:
        """Let what is to be recorded be recorded."""
        await self._expander.close()
        await self._corrections.close()

    async def _store(self, originals: Mapping[str, Original], role: str | None) -> None:
        texts = {ref: original.text for ref, original in originals.items()}
        about = {ref: About(one.strategy, role or "", one.tokens) for ref, one in originals.items()}
        await self._blobs.put_all(texts, about)

    def _see_that_it_fits(self, size: int) -> None:
        if size > self._bus.nc.max_payload - HEADROOM:
            raise Refused("too-large", f"the answer would be {size:,} bytes; ask about fewer turns at once")


def _name(text: str | None) -> str | None:
    return None if text is None else text_without_nul(text)
