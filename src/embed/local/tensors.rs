//! model.safetensors: the header is read once, then each tensor is read into memory we own.
//!
//! Plain reads instead of a mapping: a low memory peak (no second copy of the file is ever
//! resident), no unsafe, and a file truncated while we read it is an error instead of a SIGBUS.
//!
//! The layout, from the safetensors specification: 8 bytes with the header's length (little
//! endian), the header as JSON, then the data of all tensors, without gaps.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::embed::local::error::Error;

/// Bytes read at a time; a multiple of every element size. Each tensor needs only this much beside
/// its f32 values.
const BLOCK: usize = 1 << 18;

/// The format's own limit on its header.
const LONGEST_HEADER: usize = 100_000_000;

/// Bytes at the start of the file; they hold the header's length as a little-endian u64.
const LENGTH_FIELD: usize = 8;

/// Every architecture has this tensor; a prefix before its name (`bert.`) applies to all tensors.
const LANDMARK: &str = super::tensor_names::WORD_EMBEDDINGS;

/// An open file and its header. Holds no tensor data: `values` reads it anew each time.
pub(super) struct Tensors {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Offset of the data in the file. The offsets in the header count from here.
    data: u64,
    /// Put before each name; often empty.
    prefix: String,
}

/// Appends the numbers in a block of bytes. A block holds whole elements only.
type Decode = fn(&[u8], &mut Vec<f32>);

impl Tensors {
    /// Opens the file and checks its header.
    ///
    /// `Error::Format` if the header is no valid one or the data is shorter or longer than it says.
    /// After this every tensor's offsets lie within the file and agree with its shape and type.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        match File::open(&path) {
            Ok(file) => Self::read_header(path, file),
            Err(source) => Err(Error::Io { file: path, source }),
        }
    }

    /// The values of a tensor in the file's order; its shape must be exactly `shape`.
    ///
    /// `name` comes without the prefix. F16 and BF16 become f32, exactly, and take twice the memory
    /// they take in the file. `Error::Value` if the tensor is missing or has another shape or type,
    /// `Error::Io` if reading fails.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let full = format!("{}{name}", self.prefix);
        let Some(info) = self.metadata.info(&full) else {
            return Err(self.refuse(&full, "missing".to_owned(), format!("{shape:?}")));
        };
        if info.shape != shape {
            return Err(self.refuse(&full, format!("{:?}", info.shape), format!("{shape:?}")));
        }
        let Some(decode) = decoder(info.dtype) else {
            return Err(self.refuse(&full, info.dtype.to_string(), "F32, F16, BF16".to_owned()));
        };
        self.read(info, decode, shape.iter().product())
    }

    /// Parsing checks that the tensors follow each other without gaps (`Metadata` does that), so
    /// comparing the total with the file's size is enough.
    fn read_header(path: PathBuf, file: File) -> Result<Self, Error> {
        let header = match header(&file) {
            Ok(Some(header)) => header,
            Ok(None) => {
                return Err(malformed(path, "not a safetensors file, or truncated".to_owned()));
            }
            Err(source) => return Err(Error::Io { file: path, source }),
        };
        let metadata: Metadata = match serde_json::from_slice(&header.text) {
            Ok(metadata) => metadata,
            Err(error) => {
                return Err(malformed(path, format!("not a safetensors header: {error}")));
            }
        };
        let (found, wanted) = (header.behind, metadata.data_len() as u64);
        if found != wanted {
            return Err(malformed(path, format!("truncated: {found} bytes of data, not {wanted}")));
        }
        let data = (LENGTH_FIELD + header.text.len()) as u64;
        let prefix = prefix(&metadata);
        Ok(Self { path, file, metadata, data, prefix })
    }

    /// Reads block by block. `count` is the number of elements, so that the values are never moved
    /// to a larger allocation.
    fn read(&self, info: &TensorInfo, decode: Decode, count: usize) -> Result<Vec<f32>, Error> {
        let (begin, end) = info.data_offsets;
        let mut values = Vec::with_capacity(count);
        let mut block = vec![0; BLOCK];
        for at in (begin..end).step_by(BLOCK) {
            block.truncate(end - at);
            self.file
                .read_exact_at(&mut block, self.data + at as u64)
                .map_err(|source| Error::Io { file: self.path.clone(), source })?;
            decode(&block, &mut values);
        }
        Ok(values)
    }

    fn refuse(&self, name: &str, found: String, wanted: String) -> Error {
        Error::Value { file: self.path.clone(), name: format!("tensor {name}"), found, wanted }
    }
}

struct Header {
    text: Vec<u8>,
    /// Bytes in the file after the header.
    behind: u64,
}

/// `None` if the file is too short for the header it announces.
fn header(file: &File) -> io::Result<Option<Header>> {
    let total = file.metadata()?.len();
    let mut field = [0; LENGTH_FIELD];
    if total < LENGTH_FIELD as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut field, 0)?;
    let length = u64::from_le_bytes(field);
    let Some(behind) = (total - LENGTH_FIELD as u64).checked_sub(length) else { return Ok(None) };
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= LONGEST_HEADER)
    else {
        return Ok(None);
    };
    let mut text = vec![0; length];
    file.read_exact_at(&mut text, LENGTH_FIELD as u64)?;
    Ok(Some(Header { text, behind }))
}

fn malformed(file: PathBuf, reason: String) -> Error {
    Error::Format { file, reason }
}

/// What precedes `LANDMARK` in the file; empty if no tensor has that name, which `values` then
/// reports.
fn prefix(metadata: &Metadata) -> String {
    let names = metadata.offset_keys();
    names.iter().find_map(|name| name.strip_suffix(LANDMARK)).unwrap_or_default().to_owned()
}

/// `None` for all other types: integers, for instance, would need the scales of their quantisation.
fn decoder(kind: Dtype) -> Option<Decode> {
    if kind == Dtype::F32 {
        Some(|bytes, to| to.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))))
    } else if kind == Dtype::F16 {
        Some(|bytes, to| to.extend(pairs(bytes).map(half)))
    } else if kind == Dtype::BF16 {
        Some(|bytes, to| to.extend(pairs(bytes).map(brain)))
    } else {
        None
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// BF16 is the upper half of an f32.
fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// IEEE half precision: exponent and fraction are moved to their places in an f32, then rescaled,
/// which also handles subnormals; only infinity and NaN need their exponent restored.
///
/// The factor is 2^112: the exponent's bias is 15 in a half and 127 in an f32. The shift by 13 is
/// the difference between 23 and 10 bits of fraction.
fn half(bits: u16) -> f32 {
    const RESCALE: f32 = f32::from_bits((127 + 112) << 23);
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * RESCALE;
    let special = if bits & 0x7c00 == 0x7c00 { 0xff << 23 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_becomes_the_same_number() {
        let numbers = [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0000, 0.0)];
        assert!(
            numbers.iter().all(|(bits, number)| half(*bits).to_bits() == f32::to_bits(*number))
        );
        assert!((half(0x0001) - 2.0_f32.powi(-24)).abs() < 1e-12);
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn bfloat16_becomes_the_same_number() {
        assert!((brain(0x3f80) - 1.0).abs() < f32::EPSILON && (brain(0xc040) + 3.0).abs() < 1e-6);
    }
}
