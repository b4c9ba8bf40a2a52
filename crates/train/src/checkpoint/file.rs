//! The bytes of a checkpoint.

use super::{Checkpoint, Meta};
use crate::disk::io;
use maxlik_tensor::{Error, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The header's key for what is not a tensor.
const KEY: &str = "maxlik";
/// Number of the layout described in the module `checkpoint`.
const FORMAT: u32 = 1;
/// Stands for the checksum while it is computed: the length of its hexadecimal digits.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    sha256: String,
    meta: Meta,
}

/// The file's bytes; the checksum covers all of them, with zeros in its own place.
pub(super) fn encode(meta: &Meta, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
    let header = Header { format: FORMAT, sha256: BLANK.to_owned(), meta: meta.clone() };
    let header = serde_json::to_string(&header).map_err(|e| unwritable(&e))?;
    let data = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), Host::of(name, tensor)?)))
        .collect::<Result<Vec<_>>>()?;
    let views = data
        .iter()
        .map(|(name, host)| Ok((*name, host.view().map_err(|e| unwritable(&e))?)))
        .collect::<Result<Vec<_>>>()?;
    let info = HashMap::from([(KEY.to_owned(), header)]);
    let mut bytes = safetensors::serialize(views, Some(info)).map_err(|e| unwritable(&e))?;
    let sum = hex(&Sha256::digest(&bytes));
    let at = find(header_of(&bytes), BLANK)
        .ok_or_else(|| Error::unsupported("a checkpoint header without a checksum"))?;
    bytes[8 + at..8 + at + sum.len()].copy_from_slice(sum.as_bytes());
    Ok(bytes)
}

/// Reads and verifies a file.
pub(super) fn load(path: &Path) -> Result<Checkpoint> {
    let mut bytes = std::fs::read(path).map_err(io(path))?;
    let corrupt = |why: &str| Error::Corrupt { path: path.to_owned(), why: why.to_owned() };
    let read = |bytes: &[u8]| -> Option<Header> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
        serde_json::from_str(metadata.metadata().as_ref()?.get(KEY)?).ok()
    };
    let header = read(&bytes).ok_or_else(|| {
        corrupt("not a checkpoint, or one that is truncated or damaged: its header cannot be read")
    })?;
    let at = find(header_of(&bytes), &header.sha256).filter(|_| header.sha256.len() == BLANK.len());
    let at = 8 + at.ok_or_else(|| corrupt("damaged: its checksum cannot be read"))?;
    bytes[at..at + BLANK.len()].copy_from_slice(BLANK.as_bytes());
    if hex(&Sha256::digest(&bytes)) != header.sha256 {
        return Err(corrupt("damaged: its content does not match its checksum"));
    }
    if header.format != FORMAT {
        let why = format!("written in format {}, this version reads {FORMAT}", header.format);
        return Err(corrupt(&why));
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| corrupt(&e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let kind = kind_of(view.dtype())
            .ok_or_else(|| corrupt(&format!("{name} has the unknown dtype {:?}", view.dtype())))?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        tensors.insert(name, Tensor::f_from_data_size(view.data(), &shape, kind)?);
    }
    Ok(Checkpoint { meta: header.meta, tensors })
}

/// A tensor's bytes in host memory, row-major and little-endian as on every supported machine.
struct Host {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Host {
    fn of(name: &str, tensor: &Tensor) -> Result<Self> {
        let kind = tensor.kind();
        let dtype = dtype_of(kind)
            .ok_or_else(|| Error::unsupported(format!("{name} with dtype {kind:?}")))?;
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        Ok(Self { dtype, shape, bytes })
    }

    fn view(&self) -> std::result::Result<TensorView<'_>, safetensors::SafeTensorError> {
        TensorView::new(self.dtype, self.shape.clone(), &self.bytes)
    }
}

const KINDS: [(Kind, Dtype); 9] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
];

fn dtype_of(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(k, _)| *k == kind).map(|(_, dtype)| *dtype)
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(_, d)| *d == dtype).map(|(kind, _)| *kind)
}

/// The JSON header, which follows its length in eight bytes.
fn header_of(bytes: &[u8]) -> &[u8] {
    let (Some(head), Some(rest)) = (bytes.first_chunk::<8>(), bytes.get(8..)) else {
        return &[];
    };
    let length = usize::try_from(u64::from_le_bytes(*head)).unwrap_or(usize::MAX);
    rest.get(..length).unwrap_or(rest)
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unwritable(error: &dyn std::fmt::Display) -> Error {
    Error::unsupported(format!("a checkpoint of these tensors ({error})"))
}
