"""What becomes of the rows about the routing policy, event by event."""

from collections.abc import Callable
from typing import Any

import msgspec

from cca.codec import tag_of
from cca.contracts.policy import (
    PolicyConfigured,
    PolicyUpdated,
    ShadowStarted,
    ShadowStopped,
    VocabularyGrown,
)
from cca.postgres.rows import Rows
from cca.projection import Entry
from cca_projector.tables.rows import PolicyChangeRow, PolicyRow

_json = msgspec.json.Encoder().encode


class PolicyRows:
    """The rows at hand of the tables that tell of the routing policy. Nothing is ever asked of them."""

    def __init__(self, policies: Rows[PolicyRow], changes: Rows[PolicyChangeRow]) -> None:
        self.policies, self.changes = policies, changes

    def updated(self, at: Entry, event: PolicyUpdated) -> None:
        row = PolicyRow(event.version, event.position, event.algorithm, event.digest, event.decisions, at.time, at.seq)
        self.policies.born(event.version, row)

    def configured(self, at: Entry, event: PolicyConfigured) -> None:
        row = self._change(at, PolicyConfigured)
        row.algorithm, row.params = event.algorithm, _json(event.params)
        row.reason, row.requester = event.reason, event.requester

    def grown(self, at: Entry, event: VocabularyGrown) -> None:
        self._change(at, VocabularyGrown).names = _json(event.names)

    def shadow_started(self, at: Entry, event: ShadowStarted) -> None:
        row = self._change(at, ShadowStarted)
        row.algorithm, row.position, row.promote = event.algorithm, event.position, event.promote
        row.requester = event.requester

    def shadow_stopped(self, at: Entry, event: ShadowStopped) -> None:
        self._change(at, ShadowStopped).reason = event.reason

    def _change(self, at: Entry, kind: Any) -> PolicyChangeRow:
        return self.changes.born(at.seq, PolicyChangeRow(at.seq, at.time, tag_of(kind)))


Handler = Callable[[PolicyRows, Entry, Any], None]

HANDLERS: dict[type, Handler] = {
    PolicyUpdated: PolicyRows.updated,
    PolicyConfigured: PolicyRows.configured,
    VocabularyGrown: PolicyRows.grown,
    ShadowStarted: PolicyRows.shadow_started,
    ShadowStopped: PolicyRows.shadow_stopped,
}
