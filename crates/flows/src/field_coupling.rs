//! Coupling layers on images and sequences.

use crate::univariate::Univariate;
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Network;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// Which numbers of a field `[C, places…]` a coupling layer changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldMask {
    /// The second half of the channels (the larger one where their number is odd).
    UpperChannels,
    /// The first half of the channels.
    LowerChannels,
    /// In all channels, the places whose coordinates have an odd sum: a checkerboard.
    OddPlaces,
    /// Those whose coordinates have an even sum.
    EvenPlaces,
}

/// What the network of a [`FieldCoupling`] must take and give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldConditioner {
    /// Channels in. Under a checkerboard all of them, with zeros where the layer changes places.
    pub inputs: i64,
    /// Channels out: the parameters of each changed channel, side by side.
    pub outputs: i64,
}

/// A coupling layer on fields `[C, H, W]` or `[C, T]`: numbers outside the mask are kept, and a
/// convolutional network computes from them the parameters of an elementwise map of the others
/// (Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, section 3.4).
#[derive(Debug)]
pub struct FieldCoupling {
    shape: Vec<i64>,
    context: Option<Vec<i64>>,
    univariate: Box<dyn Univariate>,
    network: Box<dyn Network>,
    parts: Parts,
}

/// The two parts of a field.
#[derive(Debug)]
enum Parts {
    /// `lower` channels and the rest; whether the rest is what changes.
    Channels { lower: i64, upper_changes: bool },
    /// Flat indices of both parts, the order that puts their concatenation back, and ones at kept
    /// places.
    Places { kept: Tensor, changed: Tensor, order: Tensor, mask: Tensor },
}

impl FieldCoupling {
    /// A coupling layer on fields of this shape. The network maps `[B, inputs, places…]` (and the
    /// context) to `[B, outputs, places…]`.
    ///
    /// # Errors
    /// [`Error::Config`] for a mask that does not split the field.
    pub fn new(
        shape: &[i64],
        mask: FieldMask,
        univariate: Box<dyn Univariate>,
        context: Option<&[i64]>,
        device: Device,
        network: impl FnOnce(FieldConditioner) -> Result<Box<dyn Network>>,
    ) -> Result<Self> {
        let channels = shape.first().copied().unwrap_or_default();
        let parameters = univariate.parameters();
        let (parts, inputs, changed) = match mask {
            FieldMask::UpperChannels | FieldMask::LowerChannels => {
                let (lower, upper_changes) = (channels / 2, mask == FieldMask::UpperChannels);
                let changed = if upper_changes { channels - lower } else { lower };
                (Parts::Channels { lower, upper_changes }, channels - changed, changed)
            }
            FieldMask::OddPlaces | FieldMask::EvenPlaces => {
                (checkerboard(shape, mask == FieldMask::OddPlaces, device)?, channels, channels)
            }
        };
        if inputs < 1 || changed < 1 {
            let why = format!("{mask:?} leaves nothing to change or nothing to keep of {shape:?}");
            return Err(Error::config("mask", why));
        }
        let network = network(FieldConditioner { inputs, outputs: changed * parameters })?;
        let context = context.map(<[i64]>::to_vec);
        Ok(Self { shape: shape.to_vec(), context, univariate, network, parts })
    }

    fn apply(&self, x: &Tensor, context: Option<&Tensor>, forward: bool) -> Result<Mapped> {
        let size = x.size();
        match &self.parts {
            Parts::Channels { lower, upper_changes } => {
                let (low, high) =
                    (x.f_narrow(1, 0, *lower)?, x.f_narrow(1, *lower, size[1] - lower)?);
                let (kept, changed) = if *upper_changes { (low, high) } else { (high, low) };
                let raw = self.network.forward(&kept, context)?;
                let flat = changed.f_reshape([size[0], changed.size()[1..].iter().product()])?;
                let mapped = self.elementwise(&flat, &self.spread(&raw)?, forward)?;
                let value = mapped.value.f_reshape(changed.size().as_slice())?;
                let pair = if *upper_changes { [kept, value] } else { [value, kept] };
                Ok(Mapped { value: Tensor::f_cat(&pair, 1)?, log_det: mapped.log_det })
            }
            Parts::Places { kept, changed, order, mask } => {
                let raw = self.network.forward(&x.f_mul(&mask.f_to_kind(x.kind())?)?, context)?;
                let flat = x.f_reshape([size[0], size[1..].iter().product()])?;
                let params = self.spread(&raw)?.f_index_select(1, changed)?;
                let mapped =
                    self.elementwise(&flat.f_index_select(1, changed)?, &params, forward)?;
                let both = Tensor::f_cat(&[flat.f_index_select(1, kept)?, mapped.value], 1)?;
                let value = both.f_index_select(1, order)?.f_reshape(size.as_slice())?;
                Ok(Mapped { value, log_det: mapped.log_det })
            }
        }
    }

    fn elementwise(&self, x: &Tensor, params: &Tensor, forward: bool) -> Result<Mapped> {
        if forward {
            self.univariate.forward(x, params)
        } else {
            self.univariate.inverse(x, params)
        }
    }

    /// `[B, C P, places…] → [B, C · places, P]`.
    fn spread(&self, raw: &Tensor) -> Result<Tensor> {
        let (size, parameters) = (raw.size(), self.univariate.parameters());
        let (channels, places) = (size[1] / parameters, size[2..].iter().product::<i64>());
        let raw = raw.f_reshape([size[0], channels, parameters, places])?;
        Ok(raw.f_transpose(2, 3)?.f_reshape([size[0], channels * places, parameters])?)
    }
}

fn checkerboard(shape: &[i64], odd_changes: bool, device: Device) -> Result<Parts> {
    let total: i64 = shape.iter().product();
    let odd = |flat: i64| {
        // The channel comes last off the flat index, and does not count.
        let (sum, _) = shape[1..]
            .iter()
            .rev()
            .fold((0, flat), |(sum, rest), &side| (sum + rest % side, rest / side));
        sum % 2 == 1
    };
    let (changed, kept): (Vec<i64>, Vec<i64>) = (0..total).partition(|&i| odd(i) == odd_changes);
    if changed.is_empty() || kept.is_empty() {
        let why = format!("a checkerboard of {shape:?} has one colour only");
        return Err(Error::config("mask", why));
    }
    let mut order = vec![0; total as usize];
    for (place, &i) in kept.iter().chain(&changed).enumerate() {
        order[i as usize] = place as i64;
    }
    let marks: Vec<f32> =
        (0..total).map(|i| if odd(i) == odd_changes { 0.0 } else { 1.0 }).collect();
    let index = |values: &[i64]| -> Result<Tensor> {
        Ok(Tensor::f_from_slice(values)?.f_to_device(device)?)
    };
    let mask = Tensor::f_from_slice(&marks)?.f_reshape(shape)?.f_to_device(device)?;
    Ok(Parts::Places {
        kept: index(&kept)?,
        changed: index(&changed)?,
        order: index(&order)?,
        mask,
    })
}

impl Bijection for FieldCoupling {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(x, context, true)
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(z, context, false)
    }
}
