//! The vectors within an answer, in any of the shapes services give them, read straight into 32
//! bits.
//!
//! The shapes differ in three ways: what a list of vectors is wrapped in, what one vector is
//! wrapped in, and whether its numbers are JSON or base64. There is one type for each: `Items`,
//! `Item` and `Floats`. They are told apart by their first token, so nothing is read twice.
//!
//! Lengths, and whether numbers are finite, are not checked here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The parser's error for vectors within vectors.
/// A text, because a visitor of serde can only fail with one; `reply` looks for it.
pub(super) const NESTED: &str = "nested vectors";

/// One vector, with its index if it has one.
pub(super) struct Item {
    /// Which of the request's texts it belongs to, from zero.
    pub(super) index: Option<usize>,
    /// `None` = the object has no field for it, which is refused later.
    pub(super) vector: Option<Vec<f32>>,
}

/// A list of vectors, or an object that holds it under `float`; `null` = none.
/// The object is Cohere's, with a field for each type of number:
/// `{"float":[[0.5,-2]],"int8":null}`. Only floats were asked for.
pub(super) struct Items(pub(super) Option<Vec<Item>>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;
        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of vectors")
            }

            fn visit_unit<E>(self) -> Result<Items, E> {
                Ok(Items(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Items, A::Error> {
                items(seq).map(|items| Items(Some(items)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Items, A::Error> {
                let mut items = Items(None);
                while let Some(key) = map.next_key::<String>()? {
                    if key == "float" {
                        items = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(items)
            }
        }
        deserializer.deserialize_any(ItemsVisitor)
    }
}

/// `{index, embedding}`, `{values}`, or the vector itself.
/// OpenAI has the first, Gemini the second, Ollama and Cohere the last.
impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vector, or an object that holds one")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Item, A::Error> {
                let vector = FloatsVisitor.visit_seq(seq)?.0;
                Ok(Item { index: None, vector: Some(vector) })
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Item, E> {
                let vector = FloatsVisitor.visit_str(text)?.0;
                Ok(Item { index: None, vector: Some(vector) })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
                let mut item = Item { index: None, vector: None };
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "index" => item.index = map.next_value()?,
                        "embedding" | "values" => item.vector = Some(map.next_value::<Floats>()?.0),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(item)
            }
        }
        deserializer.deserialize_any(ItemVisitor)
    }
}

/// Numbers, or base64 of little-endian `f32`.
/// `[0.5]` and `"AAAAPw=="` are the same vector. Fails on base64 that is not valid, or that is no
/// multiple of four bytes.
pub(super) struct Floats(pub(super) Vec<f32>);

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FloatsVisitor)
    }
}

struct FloatsVisitor;

impl<'de> Visitor<'de> for FloatsVisitor {
    type Value = Floats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector as numbers or base64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Floats, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = seq.next_element_seed(NumberSeed)? {
            numbers.push(number);
        }
        Ok(Floats(numbers))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Floats, E> {
        let bytes = STANDARD.decode(text).map_err(|e| E::custom(format!("bad base64: {e}")))?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom(format!("{} bytes are not a list of f32", bytes.len())));
        }
        Ok(Floats(numbers.iter().copied().map(f32::from_le_bytes).collect()))
    }
}

/// One number of a vector.
/// Read as 64 bits and rounded to 32, which is what the engine stores: the list of numbers is never
/// held in both. Anything but a number or `null` is an error.
struct NumberSeed;

impl<'de> DeserializeSeed<'de> for NumberSeed {
    type Value = f32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<f32, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "vectors are 32-bit; larger numbers become infinite, and are rejected as such"
)]
impl<'de> Visitor<'de> for NumberSeed {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<f32, E> {
        Ok(number as f32)
    }

    fn visit_i64<E>(self, number: i64) -> Result<f32, E> {
        Ok(number as f32)
    }

    fn visit_u64<E>(self, number: u64) -> Result<f32, E> {
        Ok(number as f32)
    }

    /// JSON has no NaN: a null among the numbers is read as NaN, which is rejected later.
    fn visit_unit<E>(self) -> Result<f32, E> {
        Ok(f32::NAN)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<f32, A::Error> {
        Err(A::Error::custom(NESTED))
    }
}

/// The items of a list.
pub(super) fn items<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<Item>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = seq.next_element::<Item>()? {
        items.push(item);
    }
    Ok(items)
}
