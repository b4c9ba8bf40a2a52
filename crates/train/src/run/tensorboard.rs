//! TensorBoard event files, written by hand: records of protocol-buffer messages with checksums.
//!
//! A record is the message's length (`u64`, little-endian), the masked CRC-32C of these eight bytes,
//! the message, and the masked CRC-32C of the message (TensorFlow's `TFRecord`). Messages are
//! `Event { 1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary }` with
//! `Summary { 1: repeated Value { 1: string tag, 2: float simple_value } }`.

use crate::disk::io;
use maxlik_tensor::Result;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const PREFIX: &str = "events.out.tfevents.";

/// An event file, open for appending.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// A new event file in `folder`; `time` is in seconds since 1970.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Io`].
    pub fn create(folder: &Path, time: f64) -> Result<Self> {
        let name = format!("{PREFIX}{}.{}.maxlik", time as u64, std::process::id());
        let path = folder.join(name);
        let file = File::create(&path).map_err(io(&path))?;
        let mut events = Self { path, file };
        let mut message = Vec::new();
        double(&mut message, 1, time);
        bytes(&mut message, 3, b"brain.Event:2");
        events.record(&message)?;
        Ok(events)
    }

    /// Removes the event files of `folder`.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Io`].
    pub fn remove(folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).map_err(io(folder))? {
            let entry = entry.map_err(io(folder))?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_file(entry.path()).map_err(io(&entry.path()))?;
            }
        }
        Ok(())
    }

    /// Appends scalars of one step; TensorBoard shows single precision.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Io`].
    pub fn scalars(&mut self, time: f64, step: u64, values: &BTreeMap<String, f64>) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, tag.as_bytes());
            float(&mut entry, 2, *value as f32);
            bytes(&mut summary, 1, &entry);
        }
        let mut message = Vec::new();
        double(&mut message, 1, time);
        integer(&mut message, 2, step);
        bytes(&mut message, 5, &summary);
        self.record(&message)
    }

    fn record(&mut self, message: &[u8]) -> Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(message.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(message);
        record.extend(masked_crc(message).to_le_bytes());
        // One write for each record: a process that is killed leaves whole records.
        self.file.write_all(&record).map_err(io(&self.path))
    }
}

/// The checksum of a record's part: CRC-32C, rotated right by 15 bits, plus a constant, so that a
/// checksum of data that holds checksums stays good.
#[must_use]
pub fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli, reflected polynomial `0x82f63b78`; RFC 3720, appendix B.4).
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0, |crc, &byte| TABLE[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8))
}

const TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn integer(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, 0);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn float(out: &mut Vec<u8>, field: u64, value: f32) {
    key(out, field, 5);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}
