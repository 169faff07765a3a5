"""What becomes of the rows about tokens, event by event: what was spent, saved, and wanted back."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cca.contracts.ledger import TokenPolicySet, TokensCompressed, TokensExpanded
from cca.contracts.prepared import TaskCondensed
from cca.contracts.task import TaskSubmitted, Usage
from cca.postgres.rows import Rows, Sums
from cca.postgres.table import BIGGEST
from cca.projection import Entry
from cca.tokens.markers import ref_of
from cca_projector.tables.rows import TaskRow
from cca_projector.tables.token_rows import ContextRow, SavingRow, TokenPolicyRow, UsageRow

_json = msgspec.json.Encoder().encode

DEAREST = 1e9
"""USD that one attempt, or one task, may have cost: in billionths, sums of that are far from the end of a bigint."""


class TokenRows:
    """The rows at hand of the tables that tell of tokens."""

    def __init__(
        self,
        usage: Sums[UsageRow],
        savings: Sums[SavingRow],
        contexts: Rows[ContextRow],
        policies: Rows[TokenPolicyRow],
    ) -> None:
        self.usage, self.savings, self.contexts, self.policies = usage, savings, contexts, policies

    # ------------------------------------------------------------------------------------ tasks

    def submitted(self, at: Entry, event: TaskSubmitted) -> None:
        """A task came with a context."""
        context = event.context
        if context is not None:
            row = ContextRow(event.task, ref_of(context), len(context), at.time, at.seq)
            self.contexts.born(event.task, row)

    def used(self, at: Entry, task: TaskRow, agent: str, failed: bool, usage: Usage) -> None:
        """An attempt has ended and told what it used: add it up."""
        parts = (
            at.time.date(),
            task.role or "",
            task.lane or "",
            agent,
            task.requester or "",
            usage.model or "",
            task.kind or "",
        )
        row = self.usage.get(parts)
        if row is None:
            row = self.usage.part(parts, UsageRow(_key(parts), *parts, at.seq))
        read, written = usage.cache_read_tokens, usage.cache_write_tokens
        given = usage.input_tokens + read + written
        row.attempts += 1
        if failed:
            row.failed += 1
            row.failed_tokens = within(row.failed_tokens + given + usage.output_tokens)
        row.input_tokens = within(row.input_tokens + usage.input_tokens)
        row.output_tokens = within(row.output_tokens + usage.output_tokens)
        row.cache_read_tokens = within(row.cache_read_tokens + read)
        row.cache_write_tokens = within(row.cache_write_tokens + written)
        cost = round(min(usage.cost_usd, DEAREST) * 1e9)
        row.cost_nanousd = within(row.cost_nanousd + cost)
        if usage.cost_from == "table":
            row.estimated_nanousd = within(row.estimated_nanousd + cost)
        if usage.peak_context_tokens:
            row.peak_context_tokens = max(row.peak_context_tokens, within(usage.peak_context_tokens))
            row.resent_tokens = within(row.resent_tokens + max(given - usage.peak_context_tokens, 0))
        if usage.counted_tokens:
            row.counted_tokens = within(row.counted_tokens + usage.counted_tokens)
            row.counted_actual = within(row.counted_actual + given)

    def condensed(self, at: Entry, role: str | None, event: TaskCondensed) -> None:
        """A task's context was compressed."""
        row = self.contexts.get(event.task)
        if row is None:
            row = self.contexts.born(event.task, ContextRow(event.task))
        row.role, row.model, row.condensed_at = role, event.model, at.time
        row.before_tokens, row.after_tokens = within(event.before), within(event.after)
        row.saved, row.cuts = _json(event.saved), _all(event.cuts) if event.cuts else len(event.refs)
        row.original, row.version, row.reached = event.original, within(event.version), event.reached
        whole = self._folded(at, role, event)
        whole.condensed += 1
        whole.missed += not event.reached
        if not event.cuts:  # from before strategies were told: of each reference one
            whole.cuts += len(event.refs)

    # ------------------------------------------------------------------------------------ the token service

    def compressed(self, at: Entry, event: TokensCompressed) -> None:
        self._folded(at, event.role, event)

    def expanded(self, at: Entry, event: TokensExpanded) -> None:
        row = self._saving(at, event.role, "", event.strategy)
        row.retrieved += 1
        row.retrieved_tokens = within(row.retrieved_tokens + within(event.tokens))
        # Whose task it is, is what somebody says: no row is made for it.
        if event.task is not None and (context := self.contexts.get(event.task)) is not None:
            context.retrieved = (context.retrieved or 0) + 1

    def policy_set(self, at: Entry, event: TokenPolicySet) -> None:
        policy = None if event.policy is None else _json(event.policy)
        row = self.policies.get(event.role)
        if row is None:
            new = TokenPolicyRow(event.role, policy, 0, at.time, None, None, at.seq)
            row = self.policies.born(event.role, new)
        row.policy, row.version, row.since, row.seq = policy, within(event.version), at.time, at.seq
        row.reason, row.requester = event.reason, event.requester

    # ------------------------------------------------------------------------------------ parts

    def _folded(self, at: Entry, role: str | None, event: TaskCondensed | TokensCompressed) -> SavingRow:
        """Add up what each strategy has cut out of a text, and saved; the row that tells of whole texts."""
        for strategy in dict.fromkeys((*event.saved, *event.cuts)):
            if strategy:  # the empty name is that of the other row
                row = self._saving(at, role, event.model, strategy)
                row.saved_tokens = within(row.saved_tokens + within(event.saved.get(strategy, 0)))
                row.cuts = within(row.cuts + within(event.cuts.get(strategy, 0)))
        whole = self._saving(at, role, event.model, "")
        whole.texts += 1
        whole.before_tokens = within(whole.before_tokens + within(event.before))
        whole.after_tokens = within(whole.after_tokens + within(event.after))
        return whole

    def _saving(self, at: Entry, role: str | None, model: str, strategy: str) -> SavingRow:
        parts = (at.time.date(), role or "", model, strategy)
        row = self.savings.get(parts)
        if row is None:
            row = self.savings.part(parts, SavingRow(_key(parts), *parts, at.seq))
        return row


def within(count: int) -> int:
    """A count as a bigint holds it, and never negative: sums of such come out the same in any order."""
    return min(max(count, 0), BIGGEST)


def _all(cuts: Mapping[str, int]) -> int:
    return within(sum(map(within, cuts.values())))


def _key(parts: tuple[Any, ...]) -> str:
    return ref_of(_json(parts).decode())


Handler = Callable[[TokenRows, Entry, Any], None]

HANDLERS: dict[type, Handler] = {
    TokensCompressed: TokenRows.compressed,
    TokensExpanded: TokenRows.expanded,
    TokenPolicySet: TokenRows.policy_set,
}
