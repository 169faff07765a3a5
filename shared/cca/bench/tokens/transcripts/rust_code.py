"""Rust as people write it: modules of a crate, put together from items of many shapes."""

import random
from collections.abc import Sequence

from cca.bench.tokens.transcripts.words import Words, fill

FUNCTIONS = (
    """
/// A $thing as it is stored; `$field2` is what the partner calls it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct $Thing {
    pub id: $ThingId,
    pub $field: u32,
    pub $field2: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub $field3: Option<DateTime<Utc>>,
}
""",
    """
#[derive(Debug, thiserror::Error)]
pub enum $ThingError {
    #[error("$thing {0} $phrase")]
    $Adj($ThingId),
    #[error("$field {found} is above {limit}")]
    TooLarge { found: u32, limit: u32 },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
""",
    """
impl $Thing {
    pub fn $verb(&mut self, now: DateTime<Utc>) -> Result<(), $ThingError> {
        if self.$field > MAX_$FIELD {
            return Err($ThingError::TooLarge { found: self.$field, limit: MAX_$FIELD });
        }
        self.$field += 1;
        self.$field3 = Some(now);
        Ok(())
    }

    pub fn is_$adj(&self) -> bool {
        self.$field3.is_none() && self.$field < $small
    }
}
""",
    """
pub async fn $verb_$things(pool: &PgPool, after: Option<$ThingId>, limit: i64) -> sqlx::Result<Vec<$Thing>> {
    sqlx::query_as::<_, $Thing>(
        "SELECT id, $field, $field2, $field3 FROM $things WHERE ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2",
    )
    .bind(after)
    .bind(limit.clamp(1, $large))
    .fetch_all(pool)
    .await
}
""",
    """
fn parse_$field(input: &str) -> Result<u32, ParseError> {
    let (number, unit) = input
        .find(|c: char| !c.is_ascii_digit())
        .map_or((input, ""), |at| input.split_at(at));
    let number: u32 = number.parse().map_err(|_| ParseError::Number(input.to_owned()))?;
    match unit.trim() {
        "" => Ok(number),
        "k" => number.checked_mul(1_000).ok_or(ParseError::Overflow),
        other => Err(ParseError::Unit(other.to_owned())),
    }
}
""",
    """
impl Stream for $ThingStream {
    type Item = Result<$Thing, $ThingError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(self.inner.poll_next_unpin(cx)) {
                Some(Ok(chunk)) => self.decode(chunk)?,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
    }
}
""",
    """
pub fn merge_$things(mut left: Vec<$Thing>, right: Vec<$Thing>) -> Vec<$Thing> {
    left.extend(right);
    left.sort_by(|a, b| a.id.cmp(&b.id).then(b.$field.cmp(&a.$field)));
    left.dedup_by(|b, a| a.id == b.id);
    left
}
""",
    """
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_$adj_$thing_$verbs_once() {
        let mut $thing = $Thing::example($small);
        $thing.$verb(Utc::now()).unwrap();
        assert_eq!($thing.$field, $small2);
        assert!(!$thing.is_$adj());
    }
}
""",
    """
pub struct $ThingCache {
    entries: DashMap<$ThingId, (Instant, Arc<$Thing>)>,
    ttl: Duration,
}

impl $ThingCache {
    pub fn get(&self, id: &$ThingId) -> Option<Arc<$Thing>> {
        let entry = self.entries.get(id)?;
        (entry.0.elapsed() < self.ttl).then(|| Arc::clone(&entry.1))
    }

    pub fn put(&self, $thing: $Thing) {
        self.entries.insert($thing.id, (Instant::now(), Arc::new($thing)));
    }
}
""",
    """
impl fmt::Display for $Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$thing {} ({}, {})", self.id, self.$field2, self.$field)
    }
}
""",
    """
pub(crate) fn spawn_$verb(state: Arc<State>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs($small));
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if let Err(error) = state.$verb_all().await {
                        tracing::warn!(%error, "$verb of $things failed");
                    }
                }
                _ = stop.changed() => break,
            }
        }
    })
}
""",
)


def module(rng: random.Random, shapes: Sequence[str]) -> str:
    """The text of a Rust file."""
    words = Words(rng)
    head = fill(
        "//! $Things: how they are put to $verb, and kept while they are $adj.\n\n"
        "use std::{collections::VecDeque, fmt, sync::Arc, time::{Duration, Instant}};\n\n"
        "use chrono::{DateTime, Utc};\nuse serde::{Deserialize, Serialize};\n\n"
        "use crate::{$part::$Thing2, State};\n\nconst MAX_$FIELD: u32 = $large;\n",
        words,
    )
    bodies = []
    for number, shape in enumerate(shapes):
        bodies.append(fill(shape, words if number % 3 == 0 else Words(rng, thing=words["thing"])))
    return head + "".join(bodies)
