"""What is done in a worker process: counting, looking, folding. Pure: nothing here waits, and nothing raises."""

from collections import Counter as Tally
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from cca import codec
from cca.contracts.ledger import RolePolicy
from cca.contracts.tokens import (
    LIMIT,
    Analysis,
    AnalyzeTokens,
    Compressed,
    CompressTokens,
    CondenseContext,
    Condensed,
    CountTokens,
    Folding,
    TokenCounts,
    Turn,
)
from cca.errors import Refused
from cca.pool.answers import answered
from cca.tokens.analysis import analyze as analyzed
from cca.tokens.chat import overhead
from cca.tokens.compress import Folded
from cca.tokens.compress import compress as folded
from cca.tokens.correction import corrected
from cca.tokens.counting import Counter, counter
from cca.tokens.folds import Count
from cca.tokens.strategies.registry import by_name
from cca_tokens.jobs import Condensation, Costs, Folds, Job, Original

_job = msgspec.msgpack.Decoder(Job).decode


def do(job: bytes) -> bytes:
    """Do a job; what goes wrong is an answer, too."""
    return answered(job, lambda body: _done(_job(body)))


def _done(job: Job) -> Struct | None:
    match job.what:
        case "count":
            return count(codec.read(job.command, CountTokens), job.correction)
        case "analyze":
            return analyze(codec.read(job.command, AnalyzeTokens), job.correction)
        case "compress":
            return compress(codec.read(job.command, CompressTokens), job.correction)
        case "condense":
            assert job.policy is not None
            command = codec.read(job.command, CondenseContext)
            return condense(command, job.policy, job.version, job.correction)
        case "weigh":
            return weigh(codec.read(job.command, CompressTokens))
        case "check":
            assert job.policy is not None
            check(job.policy.strategies)
            return None


# ------------------------------------------------------------------------------------------ each


def check(strategies: Sequence[str] | None) -> None:
    """See that strategies exist. Raises `Refused` (`unknown-strategy`)."""
    unknown = [name for name in strategies or () if name not in by_name]
    if unknown:
        text = f"there is no strategy {unknown[0]!r}; there are {', '.join(sorted(by_name))}"
        raise Refused("unknown-strategy", text)


def fits(turns: Sequence[Turn]) -> None:
    """See that it is not more text than is looked at. Raises `Refused` (`too-large`)."""
    size = sum(len(turn.text) for turn in turns)
    if size > LIMIT // 4:  # a character is at most four bytes
        size = sum(len(turn.text.encode("utf-8", "surrogatepass")) for turn in turns)
    if size > LIMIT:
        raise Refused("too-large", f"{size:,} bytes of text; at most {LIMIT:,} are looked at in one request")


def counting(model: str, correction: float) -> tuple[Counter, float, Count]:
    """What counts for a model: its counter, by what its estimates are multiplied, and both in one."""
    found = counter(model)
    if found.exact or correction == 1.0:
        return found, 1.0, found.count
    return found, correction, lambda text: corrected(found.count(text), correction)


def count(command: CountTokens, correction: float) -> TokenCounts:
    """How many tokens turns are."""
    fits(command.turns)
    found, factor, tokens = counting(command.model, correction)
    each = tuple(tokens(turn.text) for turn in command.turns)
    more = overhead(command.turns, command.tools, command.model) if command.chat or command.tools else 0
    return TokenCounts(
        command.model, sum(each) + more, each, found.method, found.exact, more, found.error, correction=factor
    )


def analyze(command: AnalyzeTokens, correction: float) -> Analysis:
    """What turns are made of. Raises `Refused` (`too-large`, `unknown-strategy`)."""
    fits(command.turns)
    return analyzed(command.turns, command.how, counting(command.how.model, correction)[2])


def compress(command: CompressTokens, correction: float) -> Folds:
    """Turns in fewer tokens. Raises `Refused` (`too-large`, `unknown-strategy`)."""
    fits(command.turns)
    found, _, tokens = counting(command.how.model, correction)
    result = folded(command.turns, command.how, tokens)
    reply = Compressed(
        texts=result.texts,
        original=result.original,
        model=command.how.model,
        method=found.method,
        exact=found.exact,
        before=result.before,
        after=result.after,
        saved=result.saved,
        cuts=result.cuts,
        reached=result.reached,
        short=result.short,
    )
    return Folds(reply, originals(result), len(codec.encode(reply)))


def condense(command: CondenseContext, policy: RolePolicy, version: int, correction: float) -> Condensation:
    """A context within its role's budget, or as near as the policy goes; as it is when nothing can be saved."""
    turns = (Turn(command.context),)
    fits(turns)
    found, _, tokens = counting(policy.model, correction)
    before = tokens(command.context)
    same = Condensed(version=version, model=policy.model, exact=found.exact, before=before, after=before)
    if before <= policy.max_tokens:
        return Condensation(same, {}, 0)
    how = Folding(policy.level, policy.strategies, policy.model, policy.max_tokens, legend=True)
    result = folded(turns, how, tokens)
    text = result.texts[0]
    if text is None or not result.cuts or result.after >= result.before:
        return Condensation(msgspec.structs.replace(same, reached=False), {}, 0)
    reply = Condensed(
        context=text,
        version=version,
        model=policy.model,
        exact=found.exact,
        before=result.before,
        after=result.after,
        saved=result.saved,
        refs=tuple(dict.fromkeys(cut.ref for cut in result.cuts)),
        original=result.original,
        reached=result.reached,
        cuts=dict(Tally(cut.strategy for cut in result.cuts)),
    )
    return Condensation(reply, originals(result), len(codec.encode(reply)))


def weigh(command: CompressTokens) -> Costs:
    """What compressing each turn by itself would save."""
    fits(command.turns)
    results = [folded((turn,), command.how) for turn in command.turns]
    return Costs(sum(result.before for result in results), sum(result.after for result in results))


def originals(result: Folded) -> dict[str, Original]:
    """What is to be stored, by reference: all of the text, and each piece that was cut out."""
    whole = Original("", "original", result.before)
    cuts = {cut.ref: Original("", cut.strategy, cut.before) for cut in reversed(result.cuts)}
    return {ref: msgspec.structs.replace(cuts.get(ref, whole), text=text) for ref, text in result.blobs.items()}
