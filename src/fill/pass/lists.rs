//! Plain lists of numbers in the target, as some clients store their vectors: an index leaves them
//! out, and some searches fail on them. They are turned into vectors without asking anybody.

use std::collections::VecDeque;

use crate::fill::pass::Pass;
use crate::fill::pass::plan::Stage;
use crate::fill::port::store::{Conversion, Cursor, Items, Job, Query, Window};

/// Ids in the first window.
const WIDTH: u64 = 4_096;
/// Maximum lists per write: about thirty microseconds each.
const MAX_LISTS: u64 = 64;
/// One past the last possible id.
const END: u64 = i64::MAX as u64;

/// The search for lists in a graph.
#[derive(Debug)]
pub(super) struct Lists {
    next: Option<u64>,
    width: u64,
    /// The last window begins here.
    last: u64,
    /// The length of lists that may become vectors.
    length: usize,
    jobs: VecDeque<Conversion>,
}

impl Lists {
    fn window(&self) -> Option<Window> {
        let from = self.next?;
        let hi = if from >= self.last && self.width >= WIDTH { END } else { from + self.width };
        Some(Window { from: Cursor::at(from), hi, rows: usize::MAX, last: true })
    }

    /// A window holds lists of these lengths, so many of each.
    fn learn(&mut self, window: Window, found: &[(u64, u64)]) {
        let length = self.length as u64;
        let wanted: u64 =
            found.iter().filter(|(known, _)| *known == length).map(|(_, lists)| lists).sum();
        if wanted > MAX_LISTS && self.width > 1 {
            // Too many for one write: the same ids again, fewer at a time.
            self.width = (self.width / 4).max(1);
            self.last = self.last.max(window.from.id);
            return;
        }
        if wanted > 0 {
            let (length, items) = (self.length, Items::Unknown);
            self.jobs.push_back(Conversion { window, length, items });
        }
        self.next = (window.hi < END).then_some(window.hi);
        self.width = (self.width * 2).min(WIDTH);
    }
}

impl Pass {
    /// Looks for lists, if there are any and it is known how long a vector must be.
    pub(super) fn lists_stage(&mut self) -> Option<Stage> {
        let length = self.wanted_length().or(self.dimensions);
        let length = length.filter(|_| std::mem::take(&mut self.holds_lists))?;
        let last = self.end_of_graph.unwrap_or(0);
        let jobs = VecDeque::new();
        Some(Stage::Lists(Lists { next: Some(0), width: WIDTH, last, length, jobs }))
    }

    pub(super) fn lists_query(&self) -> Option<Query> {
        let Stage::Lists(lists) = &self.stage else { return None };
        // What was found is converted before more is looked for.
        lists.window().filter(|_| lists.jobs.is_empty() && self.writing.is_none()).map(Query::Lists)
    }

    pub(super) fn learn_lists(&mut self, query: &Query, found: &[(u64, u64)]) {
        if let (Stage::Lists(lists), Query::Lists(window)) = (&mut self.stage, query) {
            lists.learn(*window, found);
        }
    }

    pub(super) fn lists_job(&mut self) -> Option<Job> {
        let Stage::Lists(lists) = &mut self.stage else { return None };
        lists.jobs.pop_front().map(Job::Convert)
    }

    /// Whether all lists have been seen to.
    pub(super) fn lists_are_done(&self) -> bool {
        matches!(&self.stage, Stage::Lists(lists) if lists.next.is_none() && lists.jobs.is_empty())
    }

    /// Lists were converted.
    pub(super) fn converted(&mut self, lists: usize) {
        self.tally.selected += lists as u64;
        self.tally.written += lists as u64;
    }

    /// A write is made again: after the engine refused it, with a look at each item of the lists.
    pub(super) fn convert_again(&mut self, conversion: Conversion, refused: bool) {
        let Stage::Lists(lists) = &mut self.stage else { return };
        match (refused, conversion.items) {
            (true, Items::Mixed) => {}
            (true, Items::Unknown) => {
                lists.jobs.push_front(Conversion { items: Items::Mixed, ..conversion });
            }
            (false, _) => lists.jobs.push_front(conversion),
        }
    }
}
