//! Query embeddings: texts whose vectors users wait for. They are sent before any batch.
//!
//! Equal texts requested at the same time are sent once, and the most recent answers are cached.

mod outcome;

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use crate::entity::Text;
use crate::fill::lane::space::AskedLength;
use crate::fill::port::id::RunId;
use crate::fill::status::QueryFigures;

/// The vector of a text.
pub(crate) type Vector = Arc<[f32]>;

/// A user's query.
#[derive(Debug)]
struct Asked {
    run: RunId,
    texts: Vec<Text>,
    found: HashMap<Text, Vector>,
}

/// The texts of one request, and how often it has been tried.
#[derive(Debug, Clone)]
pub(crate) struct QueryRequest {
    pub(crate) asked: AskedLength,
    pub(crate) texts: Vec<Text>,
    pub(crate) tries: u32,
}

/// All unanswered queries, and the most recent answers.
#[derive(Debug)]
pub(crate) struct QueryEmbeddings {
    answers: Option<LruCache<Text, Vector>>,
    asked: Vec<Asked>,
    queue: VecDeque<QueryRequest>,
    /// Texts queued or in flight.
    under_way: HashSet<Text>,
    pub(crate) figures: QueryFigures,
}

impl QueryEmbeddings {
    /// Caches the last `kept` answers.
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            answers: NonZeroUsize::new(kept).map(LruCache::new),
            asked: Vec::new(),
            queue: VecDeque::new(),
            under_way: HashSet::new(),
            figures: QueryFigures::default(),
        }
    }

    /// Caches the last `kept` answers from now on.
    pub(crate) fn resize(&mut self, kept: usize) {
        match (NonZeroUsize::new(kept), &mut self.answers) {
            (Some(kept), Some(answers)) => answers.resize(kept),
            (kept, answers) => *answers = kept.map(LruCache::new),
        }
    }

    /// Forgets the answers of a replaced embedder.
    pub(crate) fn forget(&mut self) {
        self.answers.iter_mut().for_each(LruCache::clear);
    }

    /// As STATUS shows it.
    pub(crate) fn figures(&self) -> QueryFigures {
        QueryFigures { kept: self.answers.as_ref().map_or(0, LruCache::len), ..self.figures }
    }

    /// Bytes of text that users wait for.
    pub(crate) fn bytes(&self) -> usize {
        self.asked.iter().flat_map(|asked| &asked.texts).map(|text| text.bytes().len()).sum()
    }

    /// Number of waiting users.
    pub(crate) fn waiting(&self) -> usize {
        self.asked.len()
    }

    /// Whether there is anything to send.
    pub(crate) fn is_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Adds a user's query; texts neither cached nor under way are queued, at most `most` per
    /// request.
    pub(crate) fn enqueue(
        &mut self,
        run: RunId,
        asked: AskedLength,
        texts: Vec<Text>,
        most: usize,
    ) {
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
            self.queue.push_back(QueryRequest { asked, texts: texts.to_vec(), tries: 0 });
        }
        self.asked.push(Asked { run, texts, found });
    }

    /// The next request; texts no longer waited for are left out.
    pub(crate) fn next(&mut self) -> Option<QueryRequest> {
        while let Some(mut request) = self.queue.pop_front() {
            let asked = &self.asked;
            let wanted = |text: &Text| asked.iter().any(|asked| asked.texts.contains(text));
            let (kept, dropped) = request.texts.into_iter().partition(wanted);
            request.texts = kept;
            let dropped: Vec<Text> = dropped;
            self.not_under_way(&dropped);
            if !request.texts.is_empty() {
                return Some(request);
            }
        }
        None
    }

    fn not_under_way(&mut self, texts: &[Text]) {
        for text in texts {
            self.under_way.remove(text);
        }
    }

    /// Sends a request again in parts of at most `max` texts.
    pub(crate) fn split(&mut self, request: &QueryRequest, max: usize) {
        let parts = request.texts.chunks(max.max(1));
        for texts in parts.map(<[Text]>::to_vec) {
            self.queue.push_back(QueryRequest { texts, ..request.clone() });
        }
    }

    /// Sends a failed request again.
    pub(crate) fn requeue(&mut self, request: QueryRequest) {
        self.queue.push_front(request);
    }

    /// The vectors of these texts have arrived.
    pub(crate) fn complete(&mut self, texts: Vec<Text>, vectors: Vec<Vector>) {
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

    /// Takes out the users who have all their vectors, in the order of their texts.
    pub(crate) fn take_answered(&mut self) -> Vec<(RunId, Vec<Vector>)> {
        let all = |asked: &mut Asked| asked.texts.iter().all(|text| asked.found.contains_key(text));
        let done = self.asked.extract_if(.., all);
        done.map(|asked| {
            let vector = |text: &Text| asked.found.get(text).cloned();
            (asked.run, asked.texts.iter().filter_map(vector).collect())
        })
        .collect()
    }

    /// Takes out the users who wait for one of these texts.
    pub(crate) fn fail(&mut self, texts: &[Text]) -> Vec<RunId> {
        self.not_under_way(texts);
        let waits = |asked: &mut Asked| {
            let missing = |text: &&Text| !asked.found.contains_key(text);
            asked.texts.iter().filter(missing).any(|text| texts.contains(text))
        };
        self.asked.extract_if(.., waits).map(|asked| asked.run).collect()
    }

    /// Takes out all users: nobody will answer them.
    pub(crate) fn drain(&mut self) -> Vec<RunId> {
        self.queue.clear();
        self.under_way.clear();
        self.asked.drain(..).map(|asked| asked.run).collect()
    }

    /// The user no longer waits.
    pub(crate) fn close(&mut self, run: RunId) {
        self.asked.retain(|asked| asked.run != run);
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
    fn equal_queries_go_out_once_and_an_answer_is_kept() {
        let mut queries = QueryEmbeddings::new(10);
        queries.enqueue(RunId(1), None, texts(&["a", "b", "a"]), 50);
        queries.enqueue(RunId(2), None, texts(&["b"]), 50);
        let request = queries.next().unwrap();
        assert_eq!(request.texts, texts(&["a", "b"]));
        assert!(queries.next().is_none());
        queries.complete(request.texts, vectors(&[1.0, 2.0]));
        let done = queries.take_answered();
        assert_eq!(done[0], (RunId(1), vectors(&[1.0, 2.0, 1.0])));
        assert_eq!(done[1], (RunId(2), vectors(&[2.0])));
        queries.enqueue(RunId(3), None, texts(&["a"]), 50);
        assert_eq!(queries.take_answered(), [(RunId(3), vectors(&[1.0]))]);
        assert_eq!(queries.figures(), QueryFigures { asked: 5, hits: 1, kept: 2 });
    }

    #[test]
    fn a_failure_is_told_to_those_who_wait_for_it_and_to_nobody_else() {
        let mut queries = QueryEmbeddings::new(0);
        queries.enqueue(RunId(1), None, texts(&["a"]), 50);
        queries.enqueue(RunId(2), None, texts(&["b"]), 50);
        let request = queries.next().unwrap();
        assert_eq!(queries.fail(&request.texts), [RunId(1)]);
        assert_eq!(queries.next().unwrap().texts, texts(&["b"]));
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_sent() {
        let mut queries = QueryEmbeddings::new(0);
        queries.enqueue(RunId(1), None, texts(&["a", "b"]), 1);
        queries.enqueue(RunId(2), None, texts(&["b"]), 1);
        queries.close(RunId(1));
        assert_eq!(queries.next().unwrap().texts, texts(&["b"]));
    }
}
