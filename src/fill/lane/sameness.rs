//! Notices that a service gives different texts the same vector.
//!
//! Such vectors are not refused: a model cannot tell all texts apart. "Ferry" and "FERRY", words it
//! does not know, and whatever stands beyond its limit of tokens rightly make no difference, for a
//! whole request if need be. But if it goes on like that, somebody should have a look.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::sync::Arc;

use fnv::FnvHasher;

use crate::fill::port::store::Row;

/// This many different texts in a row with the same vector are worth a warning.
const MANY: usize = 20;

/// The last vector, and which texts in a row have got it.
#[derive(Debug, Default)]
pub(super) struct Sameness {
    vector: Option<Arc<[f32]>>,
    /// Hashes of different texts, at most [`MANY`].
    texts: HashSet<u64>,
}

impl Sameness {
    /// Looks at the vectors of an answer.
    pub(super) fn observe(&mut self, rows: &[Row]) {
        for row in rows {
            if self.vector.as_ref() != Some(&row.vector) {
                self.vector = Some(Arc::clone(&row.vector));
                self.texts.clear();
            }
            if self.texts.len() < MANY {
                self.texts.insert(BuildHasherDefault::<FnvHasher>::default().hash_one(&row.text));
            }
        }
    }

    /// What to tell the operator.
    pub(super) fn warning(&self) -> Option<String> {
        let words = format!(
            "the last {MANY} or more different texts were given the same vector: \
             look at what the service does with them"
        );
        (self.texts.len() >= MANY).then_some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Entity, Text};

    fn rows(texts: std::ops::Range<usize>, number: f32) -> Vec<Row> {
        let vector: Arc<[f32]> = vec![number, 1.0].into();
        let row = |text: usize| Row {
            entity: Entity::node(text as u64),
            text: Text::new(text.to_string().as_bytes(), 100),
            vector: Arc::clone(&vector),
        };
        texts.map(row).collect()
    }

    #[test]
    fn many_texts_with_one_vector_are_told_until_another_one_comes() {
        let mut sameness = Sameness::default();
        sameness.observe(&rows(0..MANY - 1, 0.5));
        assert_eq!(sameness.warning(), None);
        sameness.observe(&rows(MANY..MANY + 1, 0.5));
        assert!(sameness.warning().is_some_and(|words| words.contains("20 or more")));
        sameness.observe(&rows(0..1, 0.25));
        assert_eq!(sameness.warning(), None);
    }

    #[test]
    fn one_text_may_come_often() {
        let mut sameness = Sameness::default();
        (0..100).for_each(|_| sameness.observe(&rows(7..9, 0.5)));
        assert_eq!(sameness.warning(), None);
    }
}
