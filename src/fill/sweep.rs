//! The cursor of one sweep over a graph: windows of node ids, sized by how long the last one took.
//!
//! A window costs only its own ids, so a sweep is linear in the graph's ids no matter how many
//! nodes are already finished, and none of our queries occupies one of the engine's threads for
//! long.

use std::time::Duration;

use crate::fill::port::store::{Cursor, Seen, Window};

/// Time one window may take on one of the engine's threads.
const TARGET: Duration = Duration::from_millis(3);
/// Ids in the first window.
pub(crate) const INITIAL_WIDTH: u64 = 4_096;
const MIN_WIDTH: u64 = 64;
const MAX_WIDTH: u64 = 1 << 20;

/// The rows of a reply are limited so that about this many bytes of text arrive at once.
const REPLY_BYTES: usize = 512 * 1024;
const FIRST_ROWS: usize = 16;

/// How much of a graph a pass sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it.
    Full,
    /// The nodes from this id on.
    Tail(u64),
}

impl Scope {
    /// The first id that is swept.
    pub(crate) fn first(self) -> u64 {
        if let Self::Tail(first) = self { first } else { 0 }
    }
}

/// A sweep over all ids of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sweep {
    next: Option<Cursor>,
    width: u64,
    rows: usize,
    max_rows: usize,
    /// Where the graph is known to end.
    end: Option<u64>,
}

impl Sweep {
    /// A sweep from this id on, at most `max_rows` rows per window.
    pub(crate) fn new(first: u64, max_rows: usize) -> Self {
        let max_rows = max_rows.max(1);
        Self {
            next: Some(Cursor::at(first)),
            width: INITIAL_WIDTH,
            rows: FIRST_ROWS.min(max_rows),
            max_rows,
            end: None,
        }
    }

    /// A sweep over a graph that is known to end before `end`.
    pub(crate) fn up_to(end: u64, max_rows: usize) -> Self {
        Self { end: Some(end), ..Self::new(0, max_rows) }
    }

    /// The next window to read, of at most `room` rows; `None` once all ids have been seen.
    pub(crate) fn window(&self, room: usize) -> Option<Window> {
        let from = self.next?;
        let hi = self.end.map_or(from.id.saturating_add(self.width), |end| end.max(from.id));
        Some(Window { from, hi, rows: self.rows.min(room.max(1)), last: self.end.is_some() })
    }

    /// Whether all ids have been seen.
    pub(crate) fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Moves past what was seen.
    pub(crate) fn advance(&mut self, window: Window, seen: Seen) {
        let full = seen.rows >= window.rows;
        let next = if seen.resume.is_some() {
            seen.resume
        } else if full {
            // The row limit was reached before the end of the window: continue after the last row.
            seen.last.map(|last| Cursor::at(last.saturating_add(1)))
        } else {
            self.resize(seen.took);
            seen.beyond.map(Cursor::at)
        };
        self.next = next.filter(|next| self.end.is_none_or(|end| next.id < end));
        self.fit_rows(seen);
    }

    /// After a query ended by the engine's TIMEOUT: the same ids again, fewer at a time.
    pub(crate) fn narrow(&mut self) {
        self.width = (self.width / 4).max(MIN_WIDTH);
        self.rows = (self.rows / 4).max(1);
    }

    fn resize(&mut self, took: Duration) {
        let ratio = TARGET.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let factor = ratio.clamp(0.25, 4.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a width below 2^20 times a factor of at most 4"
        )]
        let width = (self.width as f64 * factor) as u64;
        self.width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    }

    /// Limits the rows, as the next texts may all be as long as the longest of these.
    fn fit_rows(&mut self, seen: Seen) {
        if seen.rows > 0 {
            let fitting = REPLY_BYTES / seen.longest.max(1);
            self.rows = fitting.clamp(1, (self.rows * 2).min(self.max_rows));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rows: usize, last: Option<u64>, beyond: Option<u64>) -> Seen {
        Seen { rows, last, longest: 100, resume: None, beyond, took: TARGET }
    }

    #[test]
    fn a_full_reply_goes_on_behind_its_last_row() {
        let mut sweep = Sweep::new(0, 10);
        let window = sweep.window(10).unwrap();
        assert_eq!((window.from.id, window.rows), (0, 10));
        sweep.advance(window, seen(10, Some(41), Some(9_000)));
        assert_eq!(sweep.window(10).unwrap().from.id, 42);
    }

    #[test]
    fn a_gap_in_the_ids_is_jumped_over_and_the_end_is_found() {
        let mut sweep = Sweep::new(0, 10);
        let window = sweep.window(10).unwrap();
        sweep.advance(window, seen(3, Some(41), Some(1_000_000)));
        let window = sweep.window(10).unwrap();
        assert_eq!(window.from.id, 1_000_000);
        sweep.advance(window, seen(0, None, None));
        assert!(sweep.is_done() && sweep.window(10).is_none());
    }

    #[test]
    fn a_graph_whose_end_is_known_is_seen_in_one_window_however_its_rows_come() {
        let mut sweep = Sweep::up_to(4_096, 10);
        let window = sweep.window(10).unwrap();
        assert_eq!((window.from.id, window.hi, window.last), (0, 4_096, true));
        sweep.advance(window, seen(10, Some(41), None));
        let window = sweep.window(10).unwrap();
        assert_eq!((window.from.id, window.hi), (42, 4_096));
        sweep.advance(window, seen(3, Some(50), None));
        assert!(sweep.is_done());
    }

    #[test]
    fn a_slow_window_is_followed_by_a_narrower_one() {
        let mut sweep = Sweep::new(0, 10);
        let window = sweep.window(10).unwrap();
        let slow = Seen { took: TARGET * 100, ..seen(0, None, Some(window.hi)) };
        sweep.advance(window, slow);
        let next = sweep.window(10).unwrap();
        assert_eq!(next.hi - next.from.id, INITIAL_WIDTH / 4);
    }

    #[test]
    fn long_texts_come_few_at_a_time() {
        let mut sweep = Sweep::new(0, 1_000);
        let window = sweep.window(1_000).unwrap();
        sweep.advance(window, Seen { longest: 200_000, ..seen(16, Some(15), Some(16)) });
        assert_eq!(sweep.window(1_000).unwrap().rows, REPLY_BYTES / 200_000);
    }
}
