//! Questions: texts whose vectors a user waits for. They go out before any backfill.
//!
//! Equal questions asked at the same time go out once, and the last answers are kept.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use lru::LruCache;

use super::event::{Action, Outcome, RunFault, RunId};
use super::fault::{ServiceFault, Verdict, judge};
use super::node::{Completion, Reply, Role, Text, by_index};
use super::{Cargo, Filler};

/// Users who wait for answers at the same time.
const MOST_ASKED: usize = 1_024;
/// Tries of one question, while the service stumbles.
const TRIES: u32 = 3;

/// The vector of a text.
type Vector = Arc<[f32]>;

/// What a user has asked.
#[derive(Debug)]
struct Asked {
    run: RunId,
    texts: Vec<Text>,
    found: HashMap<Text, Vector>,
}

/// Texts of one request, and how often it has been tried.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) texts: Vec<Text>,
    tries: u32,
}

/// All questions that have not been answered, and the last answers.
#[derive(Debug)]
pub(super) struct Questions {
    answers: Option<LruCache<Text, Vector>>,
    asked: Vec<Asked>,
    queue: VecDeque<Question>,
    /// Texts in the queue or on their way.
    under_way: HashSet<Text>,
    pub(super) figures: QuestionFigures,
}

/// What STATUS tells of questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QuestionFigures {
    /// Texts that were asked for.
    pub asked: u64,
    /// Of these, texts whose vector was known.
    pub hits: u64,
    /// Vectors that are kept.
    pub kept: usize,
}

impl Questions {
    /// Keeps the last `kept` answers.
    pub(super) fn new(kept: usize) -> Self {
        Self {
            answers: NonZeroUsize::new(kept).map(LruCache::new),
            asked: Vec::new(),
            queue: VecDeque::new(),
            under_way: HashSet::new(),
            figures: QuestionFigures::default(),
        }
    }

    /// Keeps so many from now on.
    pub(super) fn resize(&mut self, kept: usize) {
        match (NonZeroUsize::new(kept), &mut self.answers) {
            (Some(kept), Some(answers)) => answers.resize(kept),
            (kept, answers) => *answers = kept.map(LruCache::new),
        }
    }

    /// Another embedder: the old one's answers are worth nothing.
    pub(super) fn forget(&mut self) {
        self.answers.iter_mut().for_each(LruCache::clear);
    }

    /// As STATUS shows it.
    pub(super) fn figures(&self) -> QuestionFigures {
        QuestionFigures { kept: self.answers.as_ref().map_or(0, LruCache::len), ..self.figures }
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether something is to be sent.
    pub(super) fn is_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    fn ask(&mut self, run: RunId, texts: Vec<Text>, most: usize) {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for text in &texts {
            self.figures.asked += 1;
            if let Some(vector) = self.answers.as_mut().and_then(|answers| answers.get(text)) {
                self.figures.hits += 1;
                found.insert(text.clone(), Arc::clone(vector));
            } else if self.under_way.insert(text.clone()) {
                missing.push(text.clone());
            }
        }
        for texts in missing.chunks(most.max(1)) {
            self.queue.push_back(Question { texts: texts.to_vec(), tries: 0 });
        }
        self.asked.push(Asked { run, texts, found });
    }

    /// The next request; texts that nobody waits for any more are left out.
    fn next(&mut self) -> Option<Question> {
        while let Some(mut question) = self.queue.pop_front() {
            let asked = &self.asked;
            let wanted = |text: &Text| asked.iter().any(|asked| asked.texts.contains(text));
            let (kept, dropped) = question.texts.into_iter().partition(wanted);
            question.texts = kept;
            let dropped: Vec<Text> = dropped;
            self.not_under_way(&dropped);
            if !question.texts.is_empty() {
                return Some(question);
            }
        }
        None
    }

    fn not_under_way(&mut self, texts: &[Text]) {
        for text in texts {
            self.under_way.remove(text);
        }
    }

    /// Sends a request again that came to nothing.
    pub(super) fn again(&mut self, question: Question) {
        self.queue.push_front(question);
    }

    fn learn(&mut self, texts: Vec<Text>, vectors: Vec<Vector>) {
        for (text, vector) in texts.into_iter().zip(vectors) {
            self.under_way.remove(&text);
            for asked in self.asked.iter_mut().filter(|asked| asked.texts.contains(&text)) {
                asked.found.insert(text.clone(), Arc::clone(&vector));
            }
            if let Some(answers) = &mut self.answers {
                answers.put(text, vector);
            }
        }
    }

    /// Takes out those who have all their vectors, in the order of their texts.
    fn complete(&mut self) -> Vec<(RunId, Vec<Vector>)> {
        let all = |asked: &mut Asked| asked.texts.iter().all(|text| asked.found.contains_key(text));
        let done = self.asked.extract_if(.., all);
        done.map(|asked| {
            let vector = |text: &Text| asked.found.get(text).cloned();
            (asked.run, asked.texts.iter().filter_map(vector).collect())
        })
        .collect()
    }

    /// Takes out those who wait for one of these texts.
    fn fail(&mut self, texts: &[Text]) -> Vec<RunId> {
        self.not_under_way(texts);
        let waits = |asked: &mut Asked| {
            let missing = |text: &&Text| !asked.found.contains_key(text);
            asked.texts.iter().filter(missing).any(|text| texts.contains(text))
        };
        self.asked.extract_if(.., waits).map(|asked| asked.run).collect()
    }

    /// Nobody waits for this one any more.
    pub(super) fn close(&mut self, run: RunId) {
        self.asked.retain(|asked| asked.run != run);
    }
}

impl Filler {
    /// A user waits for the vectors of these texts.
    pub(super) fn question(&mut self, now: Instant, run: RunId, texts: Vec<Text>) {
        if self.questions.asked.len() >= MOST_ASKED {
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
    pub(super) fn hand_out_questions(&mut self, now: Instant) {
        while self.questions.is_queued() && self.lane.has_room_for_question(now) {
            let Some(question) = self.questions.next() else { return };
            let texts = question.texts.clone();
            self.submit(now, Cargo::Question(question), Role::Question, texts);
        }
    }

    /// The answer to a question has come.
    pub(super) fn question_answered(
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

    fn answer(&mut self, run: RunId, outcome: Result<Outcome, RunFault>) {
        self.actions.push_back(Action::Answer { run, outcome });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text::new(text.as_bytes(), 100)
    }

    fn texts(words: &[&str]) -> Vec<Text> {
        words.iter().map(|word| text(word)).collect()
    }

    fn vectors(numbers: &[f32]) -> Vec<Vector> {
        numbers.iter().map(|number| vec![*number].into()).collect()
    }

    #[test]
    fn equal_questions_go_out_once_and_an_answer_is_kept() {
        let mut questions = Questions::new(10);
        questions.ask(RunId(1), texts(&["a", "b", "a"]), 50);
        questions.ask(RunId(2), texts(&["b"]), 50);
        let question = questions.next().unwrap();
        assert_eq!(question.texts, texts(&["a", "b"]));
        assert!(questions.next().is_none());
        questions.learn(question.texts, vectors(&[1.0, 2.0]));
        let done = questions.complete();
        assert_eq!(done[0], (RunId(1), vectors(&[1.0, 2.0, 1.0])));
        assert_eq!(done[1], (RunId(2), vectors(&[2.0])));
        questions.ask(RunId(3), texts(&["a"]), 50);
        assert_eq!(questions.complete(), [(RunId(3), vectors(&[1.0]))]);
        assert_eq!(questions.figures(), QuestionFigures { asked: 5, hits: 1, kept: 2 });
    }

    #[test]
    fn a_failure_is_told_to_those_who_wait_for_it_and_to_nobody_else() {
        let mut questions = Questions::new(0);
        questions.ask(RunId(1), texts(&["a"]), 50);
        questions.ask(RunId(2), texts(&["b"]), 50);
        let question = questions.next().unwrap();
        assert_eq!(questions.fail(&question.texts), [RunId(1)]);
        assert_eq!(questions.next().unwrap().texts, texts(&["b"]));
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_sent() {
        let mut questions = Questions::new(0);
        questions.ask(RunId(1), texts(&["a", "b"]), 1);
        questions.ask(RunId(2), texts(&["b"]), 1);
        questions.close(RunId(1));
        assert_eq!(questions.next().unwrap().texts, texts(&["b"]));
    }
}
