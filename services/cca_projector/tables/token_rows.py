"""The rows of what was spent and saved, as structs whose fields are the columns; see migrations/0003_tokens.sql."""

from datetime import date, datetime

from msgspec import Struct

from cca.postgres.rows import Rows, Sums
from cca.postgres.table import Table


class UsageRow(Struct, gc=False):
    """What is to be added to a row of `token_usage`."""

    key: str
    day: date
    role: str
    lane: str
    agent: str
    requester: str
    model: str
    kind: str
    first_seq: int
    attempts: int = 0
    failed: int = 0
    failed_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_nanousd: int = 0
    estimated_nanousd: int = 0
    peak_context_tokens: int = 0
    resent_tokens: int = 0
    counted_tokens: int = 0
    counted_actual: int = 0


class SavingRow(Struct, gc=False):
    """What is to be added to a row of `token_savings`."""

    key: str
    day: date
    role: str
    model: str
    strategy: str
    first_seq: int
    saved_tokens: int = 0
    retrieved: int = 0
    retrieved_tokens: int = 0
    texts: int = 0
    condensed: int = 0
    missed: int = 0
    cuts: int = 0
    before_tokens: int = 0
    after_tokens: int = 0


class ContextRow(Struct, gc=False):
    """The context of a task; what was submitted never changes."""

    task: str
    ref: str | None = None
    chars: int | None = None
    submitted_at: datetime | None = None
    seq: int | None = None
    role: str | None = None
    model: str | None = None
    before_tokens: int | None = None
    after_tokens: int | None = None
    saved: bytes | None = None
    cuts: int | None = None
    retrieved: int | None = None
    original: str | None = None
    version: int | None = None
    reached: bool | None = None
    condensed_at: datetime | None = None


class TokenPolicyRow(Struct, gc=False):
    """How the contexts of a role are compressed; `policy` None when they are not any more."""

    role: str
    policy: bytes | None
    version: int
    since: datetime
    reason: str | None
    requester: str | None
    seq: int


def token_usage() -> Sums[UsageRow]:
    columns = UsageRow.__struct_fields__
    top = "peak_context_tokens"
    adds = [column for column in columns[columns.index("attempts") :] if column != top]
    return Sums(Table("token_usage", UsageRow, adds=adds, tops=(top,)))


def token_savings() -> Sums[SavingRow]:
    columns = SavingRow.__struct_fields__
    return Sums(Table("token_savings", SavingRow, adds=columns[columns.index("saved_tokens") :]))


def task_contexts() -> Rows[ContextRow]:
    return Rows(
        Table("task_contexts", ContextRow, fixed=("ref", "chars", "submitted_at", "seq"), fill=("saved", "original"))
    )


def token_policies() -> Rows[TokenPolicyRow]:
    return Rows(Table("token_policies", TokenPolicyRow))
