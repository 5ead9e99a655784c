//! How questions go out, and what their answers mean.

use std::time::Instant;

use crate::entity::Text;
use crate::fill::lane::query::{Question, Vector};
use crate::fill::port::embedding::{Completion, Reply, Role, by_index};
use crate::fill::port::event::{Outcome, RunFault};
use crate::fill::port::fault::{ServiceFault, Verdict, judge};
use crate::fill::port::id::RunId;
use crate::fill::{Cargo, Filler};

/// Users who wait for answers at the same time.
const MOST_ASKED: usize = 1_024;
/// Tries of one question, while the service stumbles.
const TRIES: u32 = 3;

impl Filler {
    /// A user waits for the vectors of these texts.
    pub(crate) fn question(&mut self, now: Instant, run: RunId, texts: Vec<Text>) {
        if self.questions.waiting() >= MOST_ASKED {
            return self.answer(run, Err(RunFault::Busy));
        }
        if let Some(why) = self.lane.refusal(now) {
            let why = why.to_owned();
            return self.answer(run, Err(RunFault::Embed(why)));
        }
        self.lane.asked(now);
        self.questions.ask(run, texts, self.settings.batch.texts);
        self.answer_questions();
    }

    /// **Where questions go out**, before any batch.
    pub(crate) fn hand_out_questions(&mut self, now: Instant) {
        while self.questions.is_queued() && self.lane.has_room_for_question(now) {
            let Some(question) = self.questions.next() else { return };
            let texts = question.texts.clone();
            self.submit(now, Cargo::Question(question), Role::Question, texts);
        }
    }

    /// The answer to a question has come.
    pub(crate) fn question_answered(
        &mut self,
        now: Instant,
        sent: Instant,
        question: Question,
        completion: Completion,
    ) {
        let paired = completion.outcome.and_then(|reply| self.pair_question(&question, reply));
        match paired {
            Ok(vectors) => {
                self.lane.succeeded(now, sent);
                self.questions.learn(question.texts, vectors);
                self.answer_questions();
            }
            Err(fault) => self.question_failed(now, sent, question, &fault),
        }
    }

    fn pair_question(
        &mut self,
        question: &Question,
        reply: Reply,
    ) -> Result<Vec<Vector>, ServiceFault> {
        self.figures.tokens += reply.tokens.unwrap_or_default();
        let dimensions = self.settings.dimensions.or(self.figures.dimensions);
        let vectors = by_index(reply, question.texts.len(), dimensions)?;
        self.figures.dimensions = vectors.first().map(|vector| vector.len());
        Ok(vectors)
    }

    fn question_failed(
        &mut self,
        now: Instant,
        sent: Instant,
        question: Question,
        fault: &ServiceFault,
    ) {
        let why = fault.to_string();
        let question = Question { tries: question.tries + 1, ..question };
        let again = match judge(fault) {
            // The user's own limit ends the waiting.
            Verdict::Throttle(wait) => {
                self.lane.throttled(now, sent, wait, &why);
                true
            }
            Verdict::Transient => {
                self.lane.failed(now, sent, &why);
                question.tries < TRIES
            }
            Verdict::Batch => {
                self.lane.rejected(now, &why);
                false
            }
            Verdict::Row => false,
        };
        if again {
            return self.questions.again(question);
        }
        for run in self.questions.fail(&question.texts) {
            self.answer(run, Err(RunFault::Embed(why.clone())));
        }
    }

    fn answer_questions(&mut self) {
        for (run, vectors) in self.questions.complete() {
            self.answer(run, Ok(Outcome::Vectors(vectors)));
        }
    }
}
