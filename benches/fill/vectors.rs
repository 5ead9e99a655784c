//! The vector of every text, for the service and for whoever writes without one.
//!
//! A vector is put together from blocks that were made beforehand, in base64 and as query text: both
//! are then a matter of copying, and neither the service nor the writer is what is measured. Which
//! blocks, the text decides: distinct texts have distinct vectors, or an index would be built from
//! few points only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Numbers in a block: 192 bytes, which are 256 characters of base64 without padding, so that blocks
/// can stand behind each other.
const BLOCK: usize = 48;
/// Blocks to choose from.
const VARIANTS: usize = 256;

struct Block {
    numbers: Vec<f32>,
    base64: String,
    cypher: String,
}

pub struct Vectors {
    pub dimensions: usize,
    whole: Vec<Block>,
    /// For the rest that is shorter than a block.
    rest: Vec<Block>,
}

impl Vectors {
    pub fn new(dimensions: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(7);
        // As long as the vectors of a real model: all have length 1.
        let most = (3.0 / dimensions as f32).sqrt();
        let mut blocks = |length: usize| {
            let mut number = || (rng.f32() * 2.0 - 1.0) * most;
            let blocks = (0..VARIANTS).map(|_| Block::new((0..length).map(|_| number()).collect()));
            blocks.collect()
        };
        Self { dimensions, whole: blocks(BLOCK), rest: blocks(dimensions % BLOCK) }
    }

    /// Appends the bytes of the vector in base64.
    pub fn base64(&self, text: &str, out: &mut String) {
        self.blocks(text).for_each(|block| out.push_str(&block.base64));
    }

    /// Appends the numbers as the engine reads them.
    pub fn cypher(&self, text: &str, out: &mut String) {
        out.push('[');
        for (at, block) in self.blocks(text).enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(&block.cypher);
        }
        out.push(']');
    }

    pub fn numbers(&self, text: &str) -> Vec<f32> {
        self.blocks(text).flat_map(|block| block.numbers.iter().copied()).collect()
    }

    fn blocks(&self, text: &str) -> impl Iterator<Item = &Block> {
        let seed = hash(text);
        let whole = self.dimensions / BLOCK;
        let has_rest = usize::from(!self.dimensions.is_multiple_of(BLOCK));
        (0..whole + has_rest).map(move |at| {
            let mixed = (seed ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let from = if at < whole { &self.whole } else { &self.rest };
            &from[mixed as usize % VARIANTS]
        })
    }
}

impl Block {
    fn new(numbers: Vec<f32>) -> Self {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let shortest = |number: &f32| zmij::Buffer::new().format_finite(*number).to_owned();
        let cypher: Vec<String> = numbers.iter().map(shortest).collect();
        Self { base64: STANDARD.encode(bytes), cypher: cypher.join(","), numbers }
    }
}

/// FNV-1a.
pub fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
