//! Waveforms as files and pictures.

use anyhow::{Context, Result};
use image::DynamicImage;
use maxlik_tensor::host;
use maxlik_train::plot::{Heatmap, beside, png};
use std::path::Path;
use tch::{Kind, Tensor};

/// Writes a waveform `[T]` as 16-bit mono WAV, scaled to nine tenths of full range.
///
/// # Errors
/// For a file that cannot be written.
pub(super) fn write_wav(path: &Path, x: &Tensor, rate: u32) -> Result<()> {
    let values = host::to_vec(x)?;
    let top = values.iter().fold(1e-9_f64, |top, v| top.max(v.abs()));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let name = || path.display().to_string();
    let mut writer = hound::WavWriter::create(path, spec).with_context(name)?;
    for value in values {
        writer.write_sample((value / top * 0.9 * f64::from(i16::MAX)).round() as i16)?;
    }
    writer.finalize().with_context(name)
}

/// Writes spectrograms of waveforms `[T]` beside each other as a PNG: decibels over a range of 60
/// below the loudest of all, time to the right, frequency upward.
///
/// # Errors
/// For waves shorter than a window of 128 samples, and a file that cannot be written.
pub(super) fn write_spectrograms(path: &Path, waves: &[Tensor]) -> Result<()> {
    const WINDOW: i64 = 128;
    const RANGE: f64 = 60.0;
    let mut maps = Vec::new();
    for wave in waves {
        let frames = wave.f_to_kind(Kind::Double)?.f_unfold(0, WINDOW, WINDOW / 4)?;
        let window = Tensor::f_hann_window(WINDOW, (Kind::Double, tch::Device::Cpu))?;
        let spectrum = (frames * window).f_fft_rfft(None, -1, "backward")?.f_abs()?;
        let decibels = spectrum.f_clamp_min(1e-9)?.f_log10()? * 20.0;
        let columns = decibels.size()[0] as usize;
        // Rows are frequencies, from the lowest.
        maps.push((host::to_vec(&decibels.f_transpose(0, 1)?.f_contiguous()?)?, columns));
    }
    let loudest = maps.iter().flat_map(|(v, _)| v).copied().fold(f64::NEG_INFINITY, f64::max);
    let pictures = maps.into_iter().map(|(values, columns)| {
        let values = values.iter().map(|v| (v - loudest + RANGE).max(0.0)).collect();
        let map = Heatmap { values, columns }.image(RANGE)?;
        Ok(DynamicImage::ImageRgb8(map).resize_exact(
            640,
            260,
            image::imageops::FilterType::Nearest,
        ))
    });
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    std::fs::write(path, png(&beside(&pictures, 12)?)?).with_context(|| path.display().to_string())
}
