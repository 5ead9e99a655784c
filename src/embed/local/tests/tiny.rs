//! A tiny `MPNet` in a directory of its own: the committed JSON files, and weights from the same
//! formula as in `tests/golden/make_golden.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::embed::local::tests::golden;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The directory; removed on drop.
pub(super) struct Tiny(PathBuf);

impl Tiny {
    pub(super) fn new() -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("tiny-mpnet-{}-{count}", std::process::id()));
        fs::create_dir_all(dir.join("1_Pooling")).unwrap();
        for name in ["config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json"]
            .into_iter()
            .chain(["1_Pooling/config.json"])
        {
            fs::copy(golden::folder().join("mpnet").join(name), dir.join(name)).unwrap();
        }
        let tiny = Self(dir);
        tiny.write(
            "model.safetensors",
            &safetensors("", "F32", |value| value.to_le_bytes().to_vec()),
        );
        tiny
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }

    /// Sets one key of a JSON file; null is stored as null.
    pub(super) fn set(&self, name: &str, key: &str, value: Value) {
        let mut json: Value = serde_json::from_slice(&self.read(name)).unwrap();
        json[key] = value;
        self.write(name, json.to_string().as_bytes());
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let gone = fs::remove_dir_all(&self.0);
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

/// The model's file, with `prefix` before its tensors' names and its numbers encoded by `encode`.
pub(super) fn safetensors(prefix: &str, dtype: &str, encode: fn(f32) -> Vec<u8>) -> Vec<u8> {
    let (mut header, mut data) = (json!({}), Vec::new());
    for (name, tensor) in golden::read("mpnet/tensors.json").as_object().unwrap() {
        let begin = data.len();
        data.extend(values(name, tensor).into_iter().flat_map(encode));
        header[format!("{prefix}{name}")] =
            json!({"dtype": dtype, "shape": tensor["shape"], "data_offsets": [begin, data.len()]});
    }
    file(&header, &data)
}

/// A header and its data as a safetensors file.
pub(super) fn file(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), data].concat()
}

/// FNV-1a of the name, murmur's finaliser over the index, 24 bits of it as a number from -1 to 1.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
fn values(name: &str, tensor: &Value) -> Vec<f32> {
    let count: usize = tensor["shape"].as_array().unwrap().iter().map(golden::size).product();
    let (scale, offset) = (golden::single(&tensor["scale"]), golden::single(&tensor["offset"]));
    let seed = name
        .bytes()
        .fold(0x811C_9DC5_u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let value = |index: u32| {
        let x = index.wrapping_mul(0x9E37_79B1).wrapping_add(seed);
        let x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        let x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        let unit = ((x ^ (x >> 16)) >> 8).cast_signed() - (1 << 23);
        unit as f32 / (1 << 23) as f32 * scale + offset
    };
    (0..u32::try_from(count).unwrap()).map(value).collect()
}
